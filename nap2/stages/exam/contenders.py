"""Who sits the exam beside NAP2 (`own_contender.py`): the references that every honest table carries."""

from collections.abc import Sequence

import numpy as np

from nap2.baselines.graph_regression import GraphRegression
from nap2.baselines.learning_curve import LEARNING_CURVES, rank_curves
from nap2.config import Config
from nap2.evaluation.judging.exam import Floats, Predictions
from nap2.seeding import seed_from
from nap2.stages.command.console import say
from nap2.stages.exam.contest import Contest
from nap2.stages.pool.candidates import batches_per_epoch, space_of
from nap2.stages.pool.splits import Pool


def size_predictions(contest: Contest) -> Predictions:
    """Parameter count: needs no training, and is hard to beat within one space."""
    space, skeleton = space_of(contest.config), contest.config.space.skeleton
    counts = [float(space.num_parameters(arch, **skeleton)) for arch in contest.tested]
    return Predictions(method="parameters", values=np.array([[counts]]), init_time_s=0.0, query_time_s=(0.0,))


def curve_predictions(contest: Contest) -> list[Predictions]:
    """What the same training tells without any predictor; `early_stopping` is validation accuracy at the budget.

    Some scores need the length of an epoch (`dataset.num_train`); without it they are left out.
    """
    curves, every, batches = contest.curves, contest.config.snapshot.every, contest.query_batches
    epoch = batches_per_epoch(contest.config)
    unknown = [name for name, score in LEARNING_CURVES.items() if score.needs_epoch and epoch is None]
    if unknown:
        say(f"left out: {', '.join(unknown)}; set dataset.num_train, the number of training images")
    run = {
        "every": every,
        "batches_per_epoch": epoch or batches[-1],
        "epochs": int(contest.config.recipe["epochs"]),
    }
    return [
        Predictions(
            method=name,
            values=rank_curves(name, curves, batches, **run)[None],
            query_batches=batches,
            snapshots=contest.snapshots,
            init_time_s=0.0,
            query_time_s=contest.query_seconds,
            note=score.note,
        )
        for name, score in LEARNING_CURVES.items()
        if name not in unknown
    ]


def graph_predictions(config: Config, pool: Pool, size: int) -> Predictions:
    """Gradient boosting on the cell's graph, fitted on the same labels."""
    space = space_of(config)
    seeds = tuple(seed_from("graph regression", config.seed, split.trial) % 2**31 for split in pool.splits)
    asked = graph_features(config, pool.test)
    values = []
    for split, seed in zip(pool.splits, seeds, strict=True):
        train = list(split.train_of(size))
        labels = np.array([pool.accuracy[arch] for arch in train])
        values.append([GraphRegression(seed).fit(graph_features(config, train), labels).predict(asked)])
    return Predictions(
        method="graph regression",
        values=np.asarray(values, dtype=np.float64),
        trials=pool.trials,
        seeds=seeds,
        train_size=size,
        note=f"{len(space.graph_feature_names)} features of the cell",
    )


def graph_features(config: Config, arch_strs: Sequence[str]) -> Floats:
    """float64 `[A, F]`, read off the graphs."""
    space = space_of(config)
    return np.stack([space.graph_features(arch) for arch in arch_strs])
