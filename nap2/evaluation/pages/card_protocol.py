"""How the figures of a card came about, in words: on a fixed test set, or by cross-validation of the same procedure."""

from collections.abc import Sequence
from dataclasses import dataclass

MARK = "† marks a stand-in."


@dataclass(frozen=True)
class FoldFacts:
    """What a cross-validation was.

    Attributes:
        num_folds: parts.
        redraw: whether every repeat drew other folds.
        repeats: how often every candidate was tested.
        flavour: which cells may not lie on both sides.
        num_tested: labelled candidates, all of them tested.
        train_size: candidates that each head was fitted on.
        pool_sizes: candidates that encoders were fitted on, fold by fold.
        num_val: candidates of each fold that chose when to stop.
    """

    num_folds: int
    redraw: bool
    repeats: int
    flavour: str
    num_tested: int
    train_size: int
    pool_sizes: Sequence[int]
    num_val: int


def holdout_protocol(flavour: str, seed: int, trials: int) -> str:
    """One sentence on a fixed test set."""
    return (
        f"Split flavour `{flavour}`, seed {seed}, {trials} trials; the tables name sizes, budgets and test candidates. "
        f"{MARK}"
    )


def fold_protocol(facts: FoldFacts, train_size: int, num_val: int, num_heads: int) -> str:
    """What was cross-validated, who was held out of what, and how that relates to the predictor that is shipped.

    Args:
        facts: of the cross-validation.
        train_size: candidates that each shipped head was fitted on.
        num_val: labelled candidates that chose when its training stopped.
        num_heads: shipped heads.
    """
    folds = "other folds in every repeat" if facts.redraw else "the same folds with other orders and seeds of training"
    fewer = " So each fit saw fewer candidates than this predictor did." if facts.train_size < train_size else ""
    return "\n".join(
        (
            "**These figures are cross-validated: they judge the procedure, not this very file.** The encoders and the "
            f"{num_heads} heads of this predictor were fitted on {train_size} labelled candidates ({num_val} more "
            "chose when to stop), which leaves none to judge it.",
            "",
            f"- Tested: all {facts.num_tested} labelled candidates, each once per repeat, dealt to {facts.num_folds} "
            f"folds (`{facts.flavour}`: cells that its rule calls equal lie in one fold); {facts.repeats} repeats, "
            f"{folds}.",
            "- Held out: of each fold, encoders and heads alike were fitted without its candidates and their equals: "
            f"heads on {facts.train_size} candidates, encoders on {_span(facts.pool_sizes)}, with {facts.num_val} "
            f"others for stopping.{fewer}",
            "- Out-of-fold predictions are pooled; one τ a repeat over all tested candidates. Every reference was "
            "fitted and tested on the same folds.",
            f"- Candidates without a known accuracy took part in nothing. {MARK}",
        )
    )


def _span(numbers: Sequence[int]) -> str:
    low, high = min(numbers), max(numbers)
    return str(low) if low == high else f"{low} to {high}"
