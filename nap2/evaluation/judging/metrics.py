"""How well a ranking agrees with the truth: one visible table of metrics over two arrays `[A]`."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from nap2.errors import EvaluationError

TOP_K = (3, 5, 10, 20)  # App. F.2, Table 24
COVERAGE = ((3, 3), (3, 5), (3, 10), (3, 20), (5, 5), (5, 10), (5, 20), (10, 10), (10, 20))  # App. F.2, Tables 25-27


@dataclass(frozen=True, slots=True)
class Metric:
    """A number over predicted scores `[A]` and true accuracies `[A]`; for all of them more is better.

    Attributes:
        name: as written in result rows.
        label: as printed.
        chance: the value expected of a random ranking of `A` candidates.
        score: `(predicted, truth) -> value`; NaN where it is undefined.
        source: where it is defined.
        picks: whether it asks who is found: one without a score is not, and counts; elsewhere such are left out.
    """

    name: str
    label: str
    chance: Callable[[int], float]
    score: Callable[[ArrayLike, ArrayLike], float]
    source: str
    picks: bool = False


def kendall_tau(predicted: ArrayLike, truth: ArrayLike) -> float:
    """Kendall's tau-b of two arrays `[A]`; NaN if one of them is constant (no order to agree with)."""
    scores, labels = _checked(predicted, truth)
    if _is_constant(scores) or _is_constant(labels):
        return float("nan")
    return float(stats.kendalltau(scores, labels, variant="b").statistic)


def spearman_rho(predicted: ArrayLike, truth: ArrayLike) -> float:
    """Spearman's rho of two arrays `[A]`, ties at their average rank; NaN if one of them is constant."""
    scores, labels = _checked(predicted, truth)
    if _is_constant(scores) or _is_constant(labels):
        return float("nan")
    return float(stats.spearmanr(scores, labels).statistic)


def top_n_coverage(predicted: ArrayLike, truth: ArrayLike, n: int, k: int) -> float:
    """The share of the true best `n` that is among the predicted best `k` (App. F.1; its recall where `n` is 1).

    Ties on either side are broken at random; the value is the expectation, so it does not depend on the order of the
    candidates, and constant predictions get `k / A`.
    """
    scores, labels = _checked(predicted, truth)
    if not 1 <= n <= labels.size or not 1 <= k <= labels.size:
        raise EvaluationError(
            f"The coverage of the top {n} in the top {k} needs {max(n, k)} test candidates; there are {labels.size}: "
            "test more, or ask for fewer."
        )
    return float(_membership(labels, n) @ _membership(scores, k) / n)


def _checked(predicted: ArrayLike, truth: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    scores, labels = np.asarray(predicted, dtype=np.float64), np.asarray(truth, dtype=np.float64)
    if scores.shape != labels.shape or scores.ndim != 1:
        raise EvaluationError(
            f"Predictions {scores.shape} and accuracies {labels.shape} are not two arrays [A]; give one number of each "
            "for every candidate."
        )
    if scores.size < 2:
        raise EvaluationError(f"A ranking needs at least 2 candidates; there are {scores.size}: test more.")
    for name, values in (("predictions", scores), ("accuracies", labels)):
        if not np.isfinite(values).all():
            missing = int((~np.isfinite(values)).sum())
            raise EvaluationError(
                f"{missing} of {values.size} {name} are not finite: leave those candidates out first."
            )
    return scores, labels


def _is_constant(values: NDArray[np.float64]) -> bool:
    return bool((values == values[0]).all())


def _membership(values: NDArray[np.float64], count: int) -> NDArray[np.float64]:
    """The probability of each candidate `[A]` to be among the best `count` when ties are broken at random."""
    threshold = np.partition(values, -count)[-count]
    above, level = values > threshold, values == threshold
    chances: NDArray[np.float64] = above + level * ((count - above.sum()) / level.sum())
    return chances


def _zero(num_candidates: int) -> float:
    return 0.0


def _share(k: int, num_candidates: int) -> float:
    return k / num_candidates


def _recall(k: int) -> Metric:
    score = partial(top_n_coverage, n=1, k=k)
    return Metric(
        f"recall_top1_in_top-{k}", f"best in top {k}", partial(_share, k), score, "NAP2, App. F.1, eq. 33", picks=True
    )


def _coverage(n: int, k: int) -> Metric:
    score = partial(top_n_coverage, n=n, k=k)
    return Metric(
        f"coverage_top-{n}_in_top-{k}", f"top {n} in top {k}", partial(_share, k), score, "NAP2, App. F.1", picks=True
    )


TAU = Metric("kendall_tau", "Kendall τ", _zero, kendall_tau, "Kendall 1945, tau-b")
RHO = Metric("spearman_rho", "Spearman ρ", _zero, spearman_rho, "Spearman 1904")
METRICS: Mapping[str, Metric] = MappingProxyType(
    {metric.name: metric for metric in (TAU, RHO, *map(_recall, TOP_K), *(_coverage(n, k) for n, k in COVERAGE))}
)
