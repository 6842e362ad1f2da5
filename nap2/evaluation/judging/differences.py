"""Two methods on the same test candidates: a difference smaller than its interval is called none."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from nap2.evaluation.judging.bootstrap import ROUNDS, Interval, paired_difference
from nap2.evaluation.judging.exam import Exam, Floats, Predictions, check_shapes, scored_by_all
from nap2.evaluation.judging.metrics import TAU


@dataclass(frozen=True, slots=True)
class Difference:
    """How two methods compare at one budget, on the test candidates that both could score.

    Attributes:
        method: the one that is judged.
        against: the other.
        metric: name in `METRICS`.
        query_batches: budget of `method`.
        against_batches: budget of `against`: its largest that is not above.
        interval: of `method` minus `against`, paired over test candidates.
        num_test: candidates that both scored.
        source: what `method` was fitted on; empty: on nothing.
        against_source: what `against` was fitted on.
    """

    method: str
    against: str
    metric: str
    query_batches: int
    against_batches: int
    interval: Interval
    num_test: int
    source: str = ""
    against_source: str = ""

    @property
    def verdict(self) -> str:
        """`better`, `worse`, or `none`: a difference whose interval holds 0 is none; `undefined`: without interval."""
        if not all(map(math.isfinite, (self.interval.value, self.interval.low, self.interval.high))):
            return "undefined"
        if not self.interval.excludes_zero:
            return "none"
        return "better" if self.interval.value > 0 else "worse"


def differences(
    methods: Iterable[Predictions],
    against: Predictions,
    exam: Exam,
    rounds: int = ROUNDS,
    seed: int = 0,
) -> list[Difference]:
    """Kendall's τ of each method held against that of one, at that one's largest budget.

    A method without that very budget is taken at its largest below; one that has none below is left out.

    Raises:
        EvaluationError: arrays whose sizes do not belong together.
    """
    others = [predictions for predictions in methods if predictions is not against]
    for predictions in (against, *others):
        check_shapes(predictions, exam)
    found, budget = [], against.query_batches[-1]
    for predictions in others:
        place = predictions.place_at_most(budget)
        if place is not None:
            pair = (predictions.values[:, place], against.values[:, -1])
            measured, num_test = paired(*pair, exam.truth, rounds, seed)
            names = (predictions.method, against.method, TAU.name)
            batches, sources = (predictions.query_batches[place], budget), (predictions.source, against.source)
            found.append(Difference(*names, *batches, measured, num_test, *sources))
    return found


def paired(first: Floats, second: Floats, truth: Floats, rounds: int, seed: int) -> tuple[Interval, int]:
    """The paired difference over the candidates that every trial of both scored, and how many those are.

    Args:
        first: `[trials, A]`; NaN where a candidate has no score.
        second: `[trials, A]`, likewise.
        truth: `[A]`, accuracies.
        rounds: bootstrap rounds.
        seed: of the draws.
    """
    scores, truth = scored_by_all(np.concatenate([first, second]), truth)
    if truth.size < 2:
        return Interval(*[float("nan")] * 4), truth.size
    return paired_difference(scores[: len(first)], scores[len(first) :], truth, rounds, seed), truth.size
