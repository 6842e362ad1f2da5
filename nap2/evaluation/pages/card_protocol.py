"""How the figures of a card came about, in words: on a fixed test set, or by cross-validation of the same procedure."""

from collections.abc import Mapping, Sequence
from typing import Any

from nap2.evaluation.splitting.splits import Split

MARK = "† marks a stand-in."


def holdout_protocol(flavour: str, seed: int, trials: int) -> str:
    """One sentence on a fixed test set."""
    return (
        f"Split flavour `{flavour}`, seed {seed}, {trials} trials; the tables name sizes, budgets and test candidates. "
        f"{MARK}"
    )


def fold_protocol(groups: Sequence[Sequence[Split]], size: int, spec: Mapping[str, Any], encoded: Sequence[int]) -> str:
    """What was cross-validated, who was held out of what, and how that relates to the predictor that is shipped.

    Args:
        groups: the splits of the cross-validation; those of a group share test, validation and pool.
        size: candidates that each of its heads was fitted on.
        spec: of the predictor that is shipped.
        encoded: candidates that the encoders of each group were fitted on.
    """
    first, shipped, num_heads = groups[0][0], spec["train_size"], len(spec["heads"])
    num_tested = len({arch for group in groups for arch in group[0].test})
    repeats = len({split.trial for group in groups for split in group})
    redrawn = len(groups) > first.num_folds
    folds = "other folds in every repeat" if redrawn else "the same folds with other orders and seeds of training"
    whole = f" with all {spec['num_snapshots']} snapshots" if spec.get("num_shorter") else ""
    seen = spec.get("num_unlabelled")
    too = f"; the encoders saw {seen} without a known accuracy too" if seen else ""
    if seen or list(encoded) != [len(group[0].pool) for group in groups]:
        others = "taught the encoders, but for the equals of those held out, and took part in nothing else"
    else:
        others = "took part in nothing"
    fewer = " So each fit saw fewer candidates than this predictor did." if size < shipped else ""
    return "\n".join(
        (
            "**These figures are cross-validated: they judge the procedure, not this very file.** The encoders and the "
            f"{num_heads} heads of this predictor were fitted on {shipped} labelled candidates ({spec['num_val']} more "
            f"chose when to stop{too}), which leaves none to judge it.",
            "",
            f"- Tested: all {num_tested} labelled candidates{whole}, each once per repeat, dealt to {first.num_folds} "
            f"folds (`{first.flavour}`, seed {first.seed}: cells that its rule calls equal lie in one fold); {repeats} "
            f"repeats, {folds}.",
            "- Held out: of each fold, encoders and heads alike were fitted without its candidates and their equals: "
            f"heads on {size} candidates, encoders on {_span(encoded)}, with {len(first.val)} "
            f"others for stopping.{fewer}",
            "- Out-of-fold predictions are pooled; one τ a repeat over all tested candidates. Every reference was "
            "fitted and tested on the same folds.",
            f"- Candidates without a known accuracy {others}. {MARK}",
        )
    )


def _span(numbers: Sequence[int]) -> str:
    low, high = min(numbers), max(numbers)
    return str(low) if low == high else f"{low} to {high}"
