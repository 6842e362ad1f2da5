"""LcSVR in the exam: the paper's hybrid reference, fitted at every budget on the curves of the training candidates."""

import time
from collections.abc import Sequence

import numpy as np

from nap2.baselines.lcsvr import LcSVR
from nap2.evaluation.judging.exam import Floats, Predictions
from nap2.seeding import seed_from
from nap2.snapshots.curve import Curve
from nap2.stages.exam.contest import Contest
from nap2.stages.pool.splits import Pool

NOTE = "init time: training candidates up to the largest budget, and fits; published labels took full trainings besides"


def lcsvr_predictions(contest: Contest, pool: Pool, size: int) -> Predictions:
    """The regressions of one train size, each trial on the same test candidates."""
    last = contest.snapshots[-1]
    asked = _accuracies([contest.target.early(arch).curve for arch in pool.test], last)
    seeds = tuple(seed_from("lcsvr", contest.fitted.seed, size, split.trial) for split in pool.splits)
    values = np.empty((len(seeds), len(contest.snapshots), len(pool.test)))
    started, collected = time.monotonic(), 0.0
    for trial, (split, seed) in enumerate(zip(pool.splits, seeds, strict=True)):
        train = list(split.train_of(size))
        learned = [contest.learned.early(arch).curve for arch in train]
        collected += sum(curve.seconds(last) for curve in learned)
        seen, final = _accuracies(learned, last), np.array([pool.accuracy[arch] for arch in train])
        for place, count in enumerate(contest.snapshots):
            values[trial, place] = LcSVR(seed).fit(seen[:, :count], final).predict(asked[:, :count])
    return Predictions(
        method="lcsvr",
        values=values,
        query_batches=contest.query_batches,
        snapshots=contest.snapshots,
        trials=pool.trials,
        seeds=seeds,
        train_size=size,
        init_time_s=(collected + time.monotonic() - started) / len(seeds),
        query_time_s=contest.query_seconds,
        note=NOTE,
    )


def _accuracies(curves: Sequence[Curve], num_snapshots: int) -> Floats:
    """Validation accuracies `[A, T]` at the first snapshots; NaN where none was measured."""
    table = np.full((len(curves), num_snapshots), np.nan)
    for row, curve in zip(table, curves, strict=True):
        seen = curve.snapshot_accuracy[:num_snapshots]
        row[: len(seen)] = seen
    return table
