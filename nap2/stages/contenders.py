"""Who sits the exam: NAP2 at every budget, and the references that every honest table carries."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from nap2.baselines.graph_regression import GraphRegression
from nap2.baselines.learning_curve import rank_curves
from nap2.checkpoint import load_checkpoint, load_into, load_spec
from nap2.config import Config
from nap2.errors import EvaluationError
from nap2.evaluation.exam import Floats, Predictions
from nap2.models.bigru import BiGRUPredictor
from nap2.seeding import seed_from
from nap2.snapshots.curve import Curve
from nap2.snapshots.embedding_store import EmbeddingStore
from nap2.snapshots.reader import SnapshotReader
from nap2.stages.cae_stage import pool_name, require_trained
from nap2.stages.candidates import space_of
from nap2.stages.predictor_stage import checkpoint_of, embedded
from nap2.stages.run_folder import RunFolder
from nap2.stages.splits import Pool


@dataclass(frozen=True)
class Budgets:
    """Query budgets in snapshots and in mini-batches."""

    snapshots: tuple[int, ...]
    every: int

    @property
    def batches(self) -> tuple[int, ...]:
        """The same, in mini-batches."""
        return tuple(count * self.every for count in self.snapshots)


def budgets_of(config: Config) -> Budgets:
    """The numbers of snapshots at which methods are compared.

    Raises:
        EvaluationError: if one is beyond what the store was asked to hold.
    """
    most = config.snapshot.num_snapshots
    wanted = config.evaluate.budgets or range(1, most + 1)
    if any(not 1 <= count <= most for count in wanted):
        raise EvaluationError(f"evaluate.budgets={list(wanted)} must lie in 1..{most} (snapshot.num_snapshots).")
    return Budgets(tuple(sorted(set(wanted))), config.snapshot.every)


@torch.no_grad()
def nap2_predictions(
    config: Config, pool: Pool, embeddings: EmbeddingStore, budgets: Budgets, size: int, seconds: Sequence[float]
) -> Predictions:
    """The predictors of one train size, each trial on the same test candidates."""
    seen = embedded(pool, embeddings, list(pool.splits[0].test))
    values, fit_seconds = [], []
    for split in pool.splits:
        folder = checkpoint_of(config, size, split.trial)
        spec, tensors = load_checkpoint(folder, "predictor-head")
        options = config.model["predictor"]
        net = BiGRUPredictor(hidden=options["hidden"], layers=options["layers"])
        load_into(net, tensors["predictor"], str(folder))
        net.eval()
        fit_seconds.append(spec["seconds"])
        values.append([net(seen.trajectory, seen.lengths.clamp(max=count)).numpy() for count in budgets.snapshots])
    cae_seconds = sum(load_spec(require_trained(config, m))["seconds"] for m in ("weights", "gradients"))
    return Predictions(
        method="nap2",
        values=np.asarray(values, dtype=np.float64),
        query_batches=budgets.batches,
        snapshots=budgets.snapshots,
        seeds=tuple(seed_from("predictor", config.seed, size, split.trial) for split in pool.splits),
        source=config.dataset.name,
        train_size=size,
        cae_pool=pool_name(config, pool),
        init_time_s=cae_seconds + float(np.mean(fit_seconds)),
        query_time_s=tuple(seconds),
        note="init time: autoencoders and predictor, without the training of the candidates",
    )


def size_predictions(config: Config, pool: Pool) -> Predictions:
    """Parameter count: needs no training, and is hard to beat within one space."""
    space, skeleton = space_of(config), config.space.skeleton
    counts = [float(space.num_parameters(arch, **skeleton)) for arch in pool.splits[0].test]
    return Predictions(method="parameters", values=np.array([[counts]]), init_time_s=0.0, query_time_s=(0.0,))


CURVE_SCORES = ("early_stopping", "last_losses", "sotl")
"""Of `LEARNING_CURVES`, those that mean something within the first epoch."""


def curve_predictions(curves: Sequence[Curve], budgets: Budgets, seconds: Sequence[float]) -> list[Predictions]:
    """What the same training tells without any predictor; `early_stopping` is validation accuracy at the budget."""
    every, batches = budgets.every, budgets.batches
    return [
        Predictions(
            method=name,
            values=rank_curves(name, curves, batches, every=every, batches_per_epoch=batches[-1])[None],
            query_batches=batches,
            snapshots=budgets.snapshots,
            init_time_s=0.0,
            query_time_s=tuple(seconds),
        )
        for name in CURVE_SCORES
    ]


def graph_predictions(config: Config, pool: Pool, size: int) -> Predictions:
    """Gradient boosting on the cell's graph, fitted on the same labels."""
    space, test = space_of(config), list(pool.splits[0].test)
    seeds = tuple(seed_from("graph regression", config.seed, split.trial) % 2**31 for split in pool.splits)
    asked = _features(config, test)
    values = []
    for split, seed in zip(pool.splits, seeds, strict=True):
        train = list(split.train_of(size))
        labels = np.array([pool.accuracy[arch] for arch in train])
        values.append([GraphRegression(seed).fit(_features(config, train), labels).predict(asked)])
    return Predictions(
        method="graph regression",
        values=np.asarray(values, dtype=np.float64),
        seeds=seeds,
        source=config.dataset.name,
        train_size=size,
        note=f"{len(space.graph_feature_names)} features of the cell",
    )


def _features(config: Config, arch_strs: Sequence[str]) -> Floats:
    space = space_of(config)
    return np.stack([space.graph_features(arch) for arch in arch_strs])


def test_curves(store: SnapshotReader, pool: Pool) -> list[Curve]:
    """Training curves of the test candidates."""
    return [store.read(pool.ids[arch]).curve for arch in pool.splits[0].test]


def query_seconds(curves: Sequence[Curve], budgets: Budgets) -> list[float]:
    """Mean seconds of training that a query of each budget took, per candidate."""
    return [float(np.mean([curve.snapshot_seconds[count - 1] for curve in curves])) for count in budgets.snapshots]


def embeddings_of(config: Config) -> EmbeddingStore:
    """The embeddings of this config's run."""
    return EmbeddingStore.open(RunFolder.of(config).embeddings)
