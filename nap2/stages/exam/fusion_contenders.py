"""NAP2+ and each of its parts alone, fitted on the same candidates, for the same exam."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from nap2.baselines.graph_regression import GraphRegression, out_of_fold
from nap2.baselines.learning_curve.summary import summarise
from nap2.config import Config
from nap2.evaluation.judging.exam import Floats, Predictions
from nap2.evaluation.splitting.folds import deal
from nap2.evaluation.splitting.splits import Split
from nap2.models.fusion import FEWEST, FusionOptions, Parts
from nap2.models.nap2_plus import Fold, Nap2Plus
from nap2.seeding import seed_from
from nap2.snapshots.embedding_store import EmbeddingStore
from nap2.stages.exam.contenders import graph_features
from nap2.stages.exam.contest import Candidates, Contest
from nap2.stages.fitting.fitted_with import pool_name
from nap2.stages.pool.candidates import space_of
from nap2.stages.pool.encoder_name import encoder_name, encoder_words
from nap2.stages.pool.splits import Pool

NAME = "nap2_plus"
PARTS = {
    NAME: ("graph", "size", "curve", "dynamics"),
    f"{NAME}: without dynamics": ("graph", "size", "curve"),
    f"{NAME}: graph alone": ("graph",),
    f"{NAME}: size alone": ("size",),
    f"{NAME}: curve alone": ("curve",),
    f"{NAME}: dynamics alone": ("dynamics",),
}
"""Which parts each variant sees; all are fitted and tuned in the same way."""


def fused_predictions(contest: Contest, pool: Pool, size: int) -> list[Predictions]:
    """Every variant of `PARTS` on the test candidates of one pool, in that order."""
    config, own = contest.fitted, replace(pool.folder, on="")
    train = _Known(config, contest.learned, EmbeddingStore.open(own.embeddings))
    test = _Known(contest.config, contest.target, EmbeddingStore.open(pool.folder.embeddings))
    by_trial = [_trial(train, test, pool, split, size, contest.snapshots) for split in pool.splits]
    found = []
    for name, parts in PARTS.items():
        whole = Predictions(
            method=variant_name(config, name),
            values=np.stack([values[name] for values in by_trial]),
            query_batches=contest.query_batches,
            snapshots=contest.snapshots,
            trials=pool.trials,
            seeds=tuple(_seed(config, size, split.trial) for split in pool.splits),
            train_size=size,
            cae_pool=pool_name(config, pool) if "dynamics" in parts else "",
            encoder=encoder_name(config) if "dynamics" in parts else "",
            query_time_s=contest.query_seconds,
            note="linear fusion of " + ", ".join(parts) + "; penalty and components by inner cross-validation",
        )
        found.append(whole if _reads_training(parts) else _without_query(whole))
    return found


def _reads_training(parts: Sequence[str]) -> bool:
    return not {"curve", "dynamics"}.isdisjoint(parts)


def _without_query(found: Predictions) -> Predictions:
    """What reads nothing of a training is the same at every budget, and costs none."""
    return replace(found, values=found.values[:, :1], query_batches=(0,), snapshots=(0,), query_time_s=(0.0,))


@dataclass(frozen=True)
class _Known:
    """Reads the numbers of each part."""

    config: Config
    candidates: Candidates
    embeddings: EmbeddingStore

    def columns(self, part: str, arch_strs: Sequence[str], snapshots: int) -> Floats:
        """`[A, P]` of one part after so many snapshots."""
        if part == "size":
            space, skeleton = space_of(self.config), self.config.space.skeleton
            counts = [space.num_parameters(arch, **skeleton) for arch in arch_strs]
            layers = [self.candidates.early(arch).layers for arch in arch_strs]
            return np.stack([np.log(counts), layers], axis=1)
        every, curves = self.config.snapshot.every, [self.candidates.early(arch).curve for arch in arch_strs]
        return np.stack([summarise(curve, snapshots * every, every) for curve in curves])

    def lengths(self, arch_strs: Sequence[str]) -> Fold:
        """How many snapshots of each are embedded, int64 `[A]`."""
        return self.embeddings.read([self.candidates.ids[arch] for arch in arch_strs])[1].numpy()

    def embedded(self, arch_strs: Sequence[str], snapshots: int) -> Floats:
        """`[A, D]`: the latest embedding, and, after more than one snapshot, their mean beside it."""
        trajectory, lengths = self.embeddings.read([self.candidates.ids[arch] for arch in arch_strs])
        last = lengths.clamp(max=snapshots) - 1
        latest = trajectory[torch.arange(len(last)), last]
        if snapshots == 1:
            return latest.double().numpy()
        seen = torch.arange(trajectory.shape[1]) <= last[:, None]  # [A, T]
        mean = (trajectory * seen[:, :, None]).sum(1) / seen.sum(1, keepdim=True)
        return torch.cat([latest, mean], 1).double().numpy()

    def parts(self, names: Sequence[str], arch_strs: Sequence[str], snapshots: int, base: Floats) -> Parts:
        """The named parts of some candidates."""
        plain = [self.columns(name, arch_strs, snapshots) for name in names if name in ("size", "curve")]
        empty = np.empty((len(arch_strs), 0))
        return Parts(
            plain=np.concatenate([empty, *plain], axis=1),
            embedding=self.embedded(arch_strs, snapshots) if "dynamics" in names else empty,
            base=base if "graph" in names else None,
        )


def _trial(
    of_source: _Known, of_target: _Known, pool: Pool, split: Split, size: int, snapshots: Sequence[int]
) -> dict[str, Floats]:
    """By the name of each variant `[Q, A]`, the mean over the members; NaN at a budget that too few training candidates
    have snapshots for. The graph regression learns from all of them at every budget."""
    config, train, test = of_source.config, list(split.train_of(size)), pool.test
    node: dict[str, Any] = config.model["fusion"]
    options = FusionOptions.from_dict(node)
    accuracy = np.array([pool.accuracy[arch] for arch in train])
    of_train, of_test = graph_features(config, train), graph_features(config, test)
    lengths = of_source.lengths(train)
    members: dict[str, list[Floats]] = {name: [] for name in PARTS}
    for member in range(node["members"]):
        seed = _seed(config, size, split.trial, member)
        folds = _inner_folds(config, train, accuracy, node["inner_folds"], seed)
        base = out_of_fold(of_train, accuracy, folds, seed)
        base_test = GraphRegression(seed).fit(of_train, accuracy).predict(of_test)
        for name, parts in PARTS.items():
            if parts == ("graph",):
                members[name].append(np.tile(base_test, (len(snapshots), 1)))
                continue
            values = np.full((len(snapshots), len(test)), np.nan)
            for place, count in enumerate(snapshots):
                rows = np.flatnonzero(lengths >= (count if _reads_training(parts) else 0))
                inner = _within(folds, rows)
                if len(rows) < len(train) and len(rows) - max(map(len, inner), default=0) < FEWEST:
                    continue
                seen = of_source.parts(parts, [train[row] for row in rows], count, base[rows])
                fitted = Nap2Plus.fit(seen, accuracy[rows], inner, options)
                values[place] = fitted.predict(of_target.parts(parts, test, count, base_test))
            members[name].append(values)
    return {name: np.mean(values, axis=0) for name, values in members.items()}


def _within(folds: Sequence[Fold], rows: Fold) -> list[Fold]:
    """Folds of some of their rows (rising), by place among these; those left without a row are gone."""
    kept = (np.searchsorted(rows, np.intersect1d(fold, rows)) for fold in folds)
    return [fold for fold in kept if len(fold)]


def _inner_folds(config: Config, train: Sequence[str], accuracy: Floats, count: int, seed: int) -> list[Fold]:
    """Rows of each fold; a class of equal cells lies within one, so that no twin predicts its own."""
    class_of, row = space_of(config).classes["functional"], {arch: place for place, arch in enumerate(train)}
    labels = dict(zip(train, accuracy.tolist(), strict=True))
    folds = deal(labels, {arch: class_of(arch) for arch in train}, count, ("inner", seed))
    return [np.array([row[arch] for arch in fold], dtype=np.int64) for fold in folds if fold]


def variant_name(config: Config, name: str) -> str:
    """How rows name a variant of `PARTS`: with the encoder where it reads one, as those of NAP2 do."""
    return name + encoder_words(config) if "dynamics" in PARTS[name] else name


def _seed(config: Config, size: int, trial: int, member: int = 0) -> int:
    return seed_from("nap2_plus", config.seed, size, trial, member) % 2**31
