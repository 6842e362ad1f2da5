"""How far a figure would move with other candidates or trials: bootstrap intervals."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nap2.evaluation.judging.metrics import RHO, TAU, Metric

Floats = NDArray[np.float64]

ROUNDS = 1000
LEVEL = 0.95
CLOSE, MORE = 0.25, 10
"""A bound of a difference this near to 0 (in standard errors) is drawn again, with so many times the rounds: that of
1,000 rounds moves by a twelfth of a standard error from seed to seed, and one that near may change its side."""
_LARGEST_PAIR_TABLE = 2000  # candidates; above it the [A, A] table of pairs costs more than counting inversions


@dataclass(frozen=True, slots=True)
class Interval:
    """A figure with its 95 % percentile interval and standard error over bootstrap rounds; NaN where undefined.

    τ is undefined in a round that draws nobody whom a score tells apart. The other rounds would put a mark on one
    candidate at random above 0; so where more rounds are undefined than lie beyond a bound, there is no interval.
    """

    value: float
    low: float
    high: float
    standard_error: float

    @property
    def excludes_zero(self) -> bool:
        """Whether the whole interval lies on one side of 0; a difference whose interval does not is called none."""
        return self.low > 0.0 or self.high < 0.0


def interval(
    predicted: ArrayLike, truth: ArrayLike, metric: Metric = TAU, rounds: int = ROUNDS, seed: int = 0
) -> Interval:
    """The mean of a metric over trials, with its interval over test candidates and trials.

    Args:
        predicted: `[A]` or `[trials, A]`, finite; every trial predicts the same test candidates.
        truth: `[A]`, accuracies.
        metric: any of `METRICS`.
        rounds: bootstrap rounds; each draws `A` candidates and as many trials with replacement.
        seed: of the draws; equal seeds draw equal candidates, whatever the metric.

    Raises:
        EvaluationError: shapes that do not belong together, fewer than 2 candidates, values that are not finite.
    """
    scores, labels = np.atleast_2d(np.asarray(predicted, np.float64)), np.asarray(truth, np.float64)
    value = float(np.mean([metric.score(trial, labels) for trial in scores]))
    return _percentiles(value, _resampled_mean(scores, labels, metric, rounds, seed))


def paired_difference(
    first: ArrayLike,
    second: ArrayLike,
    truth: ArrayLike,
    rounds: int = ROUNDS,
    seed: int = 0,
) -> Interval:
    """Kendall's τ of `first` minus that of `second`, both seen on the same drawn candidates in every round.

    Args:
        first: `[A]` or `[trials, A]`, finite.
        second: `[A]` or `[trials, A]`, finite; trials are drawn together where both have equally many.
        truth: `[A]`, accuracies.
        rounds: bootstrap rounds; ten times as many where an interval ends so near to 0 that its draws decide the side.
        seed: of the draws.

    Raises:
        EvaluationError: as `interval`.
    """
    labels = np.asarray(truth, np.float64)
    mine, theirs = (np.atleast_2d(np.asarray(values, np.float64)) for values in (first, second))
    values = [float(np.mean([TAU.score(trial, labels) for trial in scores])) for scores in (mine, theirs)]

    def drawn(times: int) -> Interval:
        samples = [_resampled_mean(scores, labels, TAU, times, seed) for scores in (mine, theirs)]
        return _percentiles(values[0] - values[1], samples[0] - samples[1])

    found = drawn(rounds)
    is_close = min(abs(found.low), abs(found.high)) < CLOSE * found.standard_error
    return drawn(MORE * rounds) if is_close and labels.size <= _LARGEST_PAIR_TABLE else found


def _resampled_mean(scores: Floats, labels: Floats, metric: Metric, rounds: int, seed: int) -> Floats:
    """The metric's mean over drawn trials for each bootstrap round, `[rounds]`."""
    candidates, trials = np.random.default_rng([seed, 0]), np.random.default_rng([seed, 1])
    drawn = candidates.integers(labels.size, size=(rounds, labels.size))  # [rounds, A]
    if metric.name in _BY_COUNTS and labels.size <= _LARGEST_PAIR_TABLE:
        counts = np.stack([np.bincount(row, minlength=labels.size) for row in drawn]).astype(np.float32)
        values = _BY_COUNTS[metric.name](scores, labels, counts)  # [trials, rounds]
    else:
        values = np.array([[metric.score(trial[row], labels[row]) for row in drawn] for trial in scores])
    chosen = trials.integers(len(scores), size=(rounds, len(scores)))
    means: Floats = np.take_along_axis(values.T, chosen, axis=1).mean(axis=1)
    return means


def _tau_by_counts(scores: Floats, labels: Floats, counts: NDArray[np.float32]) -> Floats:
    """tau-b of every trial in every resample, `[trials, rounds]`.

    Drawing a candidate twice makes pairs that are tied in both arrays; tau-b counts those nowhere, so the weighted sums
    over the table of pairs are exact.

    Args:
        scores: `[trials, A]`.
        labels: `[A]`.
        counts: `[rounds, A]`, how often each candidate was drawn.
    """
    true_order = _pair_signs(labels)  # [A, A]
    truly_ranked = _weigh(counts, np.abs(true_order))
    taus = []
    for order in map(_pair_signs, scores):
        scale = np.sqrt(_weigh(counts, np.abs(order)) * truly_ranked)
        agreement = _weigh(counts, order * true_order)
        taus.append(np.where(scale > 0, agreement / np.maximum(scale, 1.0), np.nan))  # a scale above 0 is at least 2
    return np.stack(taus)


def _weigh(counts: NDArray[np.float32], table: NDArray[np.float32]) -> Floats:
    """Sums `[rounds]` of a table of pairs `[A, A]`, each pair weighted by how often it was drawn."""
    sums: Floats = np.einsum("ra,ra->r", counts @ table, counts, dtype=np.float64)
    return sums


def _rho_by_counts(scores: Floats, labels: Floats, counts: NDArray[np.float32]) -> Floats:
    """Spearman's rho of every trial in every resample, `[trials, rounds]`; arguments as in `_tau_by_counts`.

    A candidate's average rank, less the mean rank, is half of how many drawn ones it beats minus how many beat it.
    """
    second = _centred_ranks(labels, counts)  # [rounds, A]
    spread = np.einsum("ra,ra,ra->r", counts, second, second)
    rhos = []
    for trial in scores:
        first = _centred_ranks(trial, counts)
        scale = np.sqrt(np.einsum("ra,ra,ra->r", counts, first, first) * spread)
        shared = np.einsum("ra,ra,ra->r", counts, first, second)
        rhos.append(np.where(scale > 0, shared / np.maximum(scale, 0.25), np.nan))  # a scale above 0 is at least 0.5
    return np.stack(rhos)


def _centred_ranks(values: Floats, counts: NDArray[np.float32]) -> Floats:
    return (counts @ _pair_signs(values).T).astype(np.float64) / 2


def _pair_signs(values: Floats) -> NDArray[np.float32]:
    return (values[:, None] > values).astype(np.float32) - (values[:, None] < values).astype(np.float32)


def _percentiles(value: float, samples: Floats) -> Interval:
    defined, tail = samples[np.isfinite(samples)], (1 - LEVEL) / 2
    if defined.size < 2 or samples.size - defined.size > tail * samples.size or not np.isfinite(value):
        return Interval(value, float("nan"), float("nan"), float("nan"))
    low, high = np.quantile(defined, [tail, 1 - tail])
    return Interval(value, float(low), float(high), float(defined.std(ddof=1)))


_BY_COUNTS = {TAU.name: _tau_by_counts, RHO.name: _rho_by_counts}
"""Metrics whose resamples are all read off one table of pairs."""
