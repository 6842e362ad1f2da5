"""Every learning-curve score, in one visible table: what it reads, and which way is up."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from nap2.baselines.learning_curve import lc_pfn, lce
from nap2.baselines.learning_curve.observed import Floats, ObservedCurve, observe
from nap2.baselines.undefined import UndefinedScoreError
from nap2.snapshots.curve import Curve

LAST_LOSSES = 10


@dataclass(frozen=True, slots=True)
class LearningCurveScore:
    """A number read off the beginning of a training curve.

    Attributes:
        name: key in `LEARNING_CURVES`.
        definition: one line that says what is computed.
        score: from the observed curve to the value; raises `UndefinedScoreError` where there is none.
        higher_is_better: the direction of the value.
        source: paper that `score` follows.
        needs_epoch: whether it needs to know how many mini-batches an epoch has.
        note: for the rows of a table.
    """

    name: str
    definition: str
    score: Callable[[ObservedCurve], float]
    higher_is_better: bool
    source: str
    needs_epoch: bool = False
    note: str = ""

    def towards_accuracy(self, value: float) -> float:
        """The value, turned so that more is better."""
        return value if self.higher_is_better else -value


@dataclass(frozen=True, slots=True)
class CurveScore:
    """A value in its own direction, or why there is none."""

    value: float | None
    failure: str | None = None


def score_curve(
    curve: Curve,
    query_batches: int,
    *,
    every: int,
    batches_per_epoch: int,
    epochs: int,
    names: Sequence[str] | None = None,
) -> dict[str, CurveScore]:
    """All scores (or the named ones) of one curve at a budget; a score without a value keeps its place."""
    run = (every, batches_per_epoch, epochs)
    return {name: _score(name, curve, query_batches, *run) for name in names or LEARNING_CURVES}


def rank_curves(
    name: str, curves: Sequence[Curve], query_batches: Sequence[int], *, every: int, batches_per_epoch: int, epochs: int
) -> Floats:
    """One score of many curves, turned so that more is better: float64 `[Q, A]`, NaN where there is no value."""
    table = np.full((len(query_batches), len(curves)), np.nan)
    for row, budget in enumerate(query_batches):
        for column, curve in enumerate(curves):
            value = _score(name, curve, budget, every, batches_per_epoch, epochs).value
            if value is not None:
                table[row, column] = LEARNING_CURVES[name].towards_accuracy(value)
    return table


def _score(name: str, curve: Curve, query_batches: int, every: int, batches_per_epoch: int, epochs: int) -> CurveScore:
    try:
        seen = observe(curve, query_batches, every, batches_per_epoch, epochs)
        return CurveScore(LEARNING_CURVES[name].score(seen))
    except UndefinedScoreError as error:
        return CurveScore(None, str(error))


def _sum_of_losses(seen: ObservedCurve) -> float:
    return float(seen.losses.sum())


def _sum_of_last_epoch(seen: ObservedCurve) -> float:
    return float(seen.losses[-seen.batches_per_epoch :].sum())


def _mean_of_last_losses(seen: ObservedCurve) -> float:
    if seen.losses.size < LAST_LOSSES:
        raise UndefinedScoreError(f"{seen.losses.size} mini-batches are fewer than the {LAST_LOSSES} to average")
    return float(seen.losses[-LAST_LOSSES:].mean())


def _last_accuracy(seen: ObservedCurve) -> float:
    if not seen.accuracies.size:
        raise UndefinedScoreError("no validation accuracy was measured within the budget")
    if not np.isfinite(seen.accuracies[-1]):
        raise UndefinedScoreError("the last validation accuracy is not finite")
    return float(seen.accuracies[-1])


def _parametric(seen: ObservedCurve) -> float:
    return lce.extrapolate(seen.accuracies, seen.end)


def _by_network(seen: ObservedCurve) -> float:
    return lc_pfn.expect(seen.accuracies, seen.end)


SOTL = LearningCurveScore(
    name="sotl",
    definition="sum of the training losses of all mini-batches seen",
    score=_sum_of_losses,
    higher_is_better=False,
    source="Ru et al. 2021, Speedy Performance Estimation, SoTL",
)
SOTL_E = LearningCurveScore(
    name="sotl_e",
    definition="sum of the training losses of the last epoch's worth of mini-batches seen; before that, of all",
    score=_sum_of_last_epoch,
    higher_is_better=False,
    source="Ru et al. 2021, Speedy Performance Estimation, SoTL-E with E = 1",
    needs_epoch=True,
)
LAST_LOSS = LearningCurveScore(
    name="last_losses",
    definition=f"mean training loss of the last {LAST_LOSSES} mini-batches seen",
    score=_mean_of_last_losses,
    higher_is_better=False,
    source=f"SoTL-E with a window of {LAST_LOSSES} mini-batches",
)
EARLY_STOPPING = LearningCurveScore(
    name="early_stopping",
    definition="validation accuracy at the last snapshot within the budget",
    score=_last_accuracy,
    higher_is_better=True,
    source="White et al. 2021, How Powerful are Performance Predictors, early stopping (accuracy)",
)
LCE = LearningCurveScore(
    name="lce",
    definition="accuracy at the end of the training by parametric curves fitted to the validation accuracies so far",
    score=_parametric,
    higher_is_better=True,
    source="Domhan et al. 2015; White et al. 2021, How Powerful are Performance Predictors, LCE",
    needs_epoch=True,
    note=f"needs {lce.MIN_POINTS} snapshots",
)
LC_PFN = LearningCurveScore(
    name="lc_pfn",
    definition="accuracy expected at the end of the training by a transformer of our own, not the published weights: "
    f"fitted to {lc_pfn.NUM_CURVES:,} curves of the published prior",
    score=_by_network,
    higher_is_better=True,
    source="Adriaensen et al. 2023, LC-PFN: its prior and its kind of network",
    needs_epoch=True,
    note=f"needs {lc_pfn.MIN_POINTS} snapshots",
)

LEARNING_CURVES: Mapping[str, LearningCurveScore] = MappingProxyType(
    {score.name: score for score in (SOTL, SOTL_E, LAST_LOSS, EARLY_STOPPING, LCE, LC_PFN)}
)
