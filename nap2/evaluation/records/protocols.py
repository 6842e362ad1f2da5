"""From predictions to result rows: one per budget, metric and trial, and one over the trials with its interval."""

from collections.abc import Sequence
from dataclasses import fields, replace

import numpy as np

from nap2.evaluation.judging.bootstrap import ROUNDS, Interval, interval
from nap2.evaluation.judging.exam import Exam, ExamFacts, Floats, MethodFacts, Predictions, check_shapes, scored_by_all
from nap2.evaluation.judging.metrics import METRICS, RHO, TAU, Metric
from nap2.evaluation.records.rows import ResultRow

WITH_INTERVAL = (TAU, RHO)
"""Metrics whose row over all trials has a bootstrap interval; the others are steps of 1/n, shown as means."""

UNSCORED = "undefined: no candidate has a score"
"""Why a figure is undefined, where a method could score nobody."""


def metrics_for(num_candidates: int) -> tuple[Metric, ...]:
    """The metrics that make sense for so many test candidates: a top 20 of 20 says nothing."""
    last = {metric: metric.name.rsplit("-", 1)[-1] for metric in METRICS.values()}
    return tuple(metric for metric, k in last.items() if not k.isdigit() or int(k) < num_candidates)


def result_rows(
    predictions: Predictions,
    exam: Exam,
    metrics: Sequence[Metric] | None = None,
    rounds: int = ROUNDS,
    seed: int = 0,
) -> list[ResultRow]:
    """The rows of one method: per budget and metric, one of each trial and one of all (`trial` None).

    Candidates that the method could not score in some trial are left out of its rows at that budget, and counted; among
    the predicted top K there are none of them, but the best candidates are those of all.

    Args:
        predictions: of one method.
        exam: what it is judged on.
        metrics: None: `metrics_for` the number of test candidates.
        rounds: bootstrap rounds; 0: no intervals.
        seed: of the bootstrap; the same for all methods, so that they see the same draws.

    Raises:
        EvaluationError: arrays whose sizes do not belong together.
    """
    check_shapes(predictions, exam)
    rows: list[ResultRow] = []
    for place in range(len(predictions.query_batches)):
        scores, truth = scored_by_all(predictions.values[:, place], exam.truth)
        for metric in metrics or metrics_for(exam.truth.size):
            asked = (_below_all(predictions.values[:, place]), exam.truth) if metric.picks else (scores, truth)
            is_defined = truth.size >= 2 and metric in metrics_for(truth.size)
            values = [metric.score(trial, asked[1]) if is_defined else float("nan") for trial in asked[0]]
            base = _base_row(predictions, exam, place, metric, truth.size)
            trials = zip(predictions.trials, predictions.seeds, values, strict=True)
            rows += [replace(_with_value(base, value), trial=trial, seed=own) for trial, own, value in trials]
            found = _interval(metric, scores, truth, values, rounds, seed)
            overall = _with_value(base, float(np.mean(values)))
            rows.append(replace(overall, low=found.low, high=found.high, standard_error=found.standard_error))
    return rows


def _below_all(values: Floats) -> Floats:
    """Predictions `[trials, A]`, those that are missing below all others."""
    scored = np.isfinite(values)
    return np.where(scored, values, np.nextafter(values.min(where=scored, initial=np.inf), -np.inf))


def _interval(
    metric: Metric, scores: Floats, truth: Floats, values: Sequence[float], rounds: int, seed: int
) -> Interval:
    """All NaN where there is none."""
    if metric not in WITH_INTERVAL or rounds == 0 or np.isnan(values).any():
        return Interval(*[float("nan")] * 4)
    return interval(scores, truth, metric, rounds, seed)


def _with_value(base: ResultRow, value: float) -> ResultRow:
    if not np.isnan(value):
        return replace(base, value=value)
    reason = "undefined: all scores are equal, or too few candidates were scored" if base.num_test else UNSCORED
    return replace(base, value=None, note="; ".join(filter(None, (base.note, reason))))


def _base_row(predictions: Predictions, exam: Exam, place: int, metric: Metric, num_test: int) -> ResultRow:
    facts = {field.name: getattr(exam, field.name) for field in fields(ExamFacts)}
    facts |= {field.name: getattr(predictions, field.name) for field in fields(MethodFacts)}
    return ResultRow(
        **facts,
        query_batches=predictions.query_batches[place],
        snapshots=predictions.snapshots[place],
        metric=metric.name,
        value=None,
        num_test=num_test,
        num_failed=exam.truth.size - num_test,
        query_time_s=predictions.query_time_s[place],
    )
