"""LcSVR in the exam: the paper's hybrid reference, fitted at every budget on the curves of the training candidates."""

import time
from collections.abc import Mapping, Sequence

import numpy as np

from nap2.baselines.lcsvr import LcSVR
from nap2.evaluation.judging.exam import Floats, Predictions
from nap2.seeding import seed_from
from nap2.snapshots.curve import Curve
from nap2.stages.exam.contest import Contest
from nap2.stages.pool.budgets import Budgets
from nap2.stages.pool.splits import Pool

NOTE = "init time: training candidates up to the largest budget, and fits; published labels took full trainings besides"


class Curves:
    """Training curves of a contest's candidates, each read once.

    Attributes:
        tested: of the test candidates, by arch string.
    """

    def __init__(self, contest: Contest, tested: Mapping[str, Curve]) -> None:
        self.tested = tested
        self._contest = contest
        self._known = dict(tested) if contest.source_store is contest.target_store else {}

    def of_training(self, arch_str: str) -> Curve:
        """That of a candidate that methods are fitted on."""
        if arch_str not in self._known:
            contest = self._contest
            self._known[arch_str] = contest.source_store.read(contest.source_ids[arch_str]).curve
        return self._known[arch_str]


def lcsvr_predictions(
    contest: Contest, curves: Curves, pool: Pool, budgets: Budgets, size: int, seconds: Sequence[float]
) -> Predictions:
    """The regressions of one train size, each trial on the same test candidates."""
    config, last = contest.fitted, budgets.snapshots[-1]
    asked = _accuracies([curves.tested[arch] for arch in pool.test], last)
    seeds = tuple(seed_from("lcsvr", config.seed, size, split.trial) for split in pool.splits)
    values = np.empty((len(seeds), len(budgets.snapshots), len(pool.test)))
    started, collected = time.monotonic(), 0.0
    for trial, (split, seed) in enumerate(zip(pool.splits, seeds, strict=True)):
        train = list(split.train_of(size))
        learned = [curves.of_training(arch) for arch in train]
        collected += sum(curve.snapshot_seconds[last - 1] for curve in learned)
        seen, final = _accuracies(learned, last), np.array([pool.accuracy[arch] for arch in train])
        for place, count in enumerate(budgets.snapshots):
            values[trial, place] = LcSVR(seed).fit(seen[:, :count], final).predict(asked[:, :count])
    return Predictions(
        method="lcsvr",
        values=values,
        query_batches=budgets.batches,
        snapshots=budgets.snapshots,
        trials=pool.trials,
        seeds=seeds,
        source=config.dataset.name,
        train_size=size,
        init_time_s=(collected + time.monotonic() - started) / len(seeds),
        query_time_s=tuple(seconds),
        note=NOTE,
    )


def _accuracies(curves: Sequence[Curve], num_snapshots: int) -> Floats:
    """Validation accuracies `[A, T]` at the first snapshots; NaN where none was measured."""
    table = np.full((len(curves), num_snapshots), np.nan)
    for row, curve in zip(table, curves, strict=True):
        seen = curve.snapshot_accuracy[:num_snapshots]
        row[: len(seen)] = seen
    return table
