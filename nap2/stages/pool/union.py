"""Other datasets beside the config's own (`union=[…]`): architectures are learned wherever they were trained.

Splits are those of architectures, drawn on the config's own store, which alone is tested. So a candidate of another
dataset takes part exactly when its architecture is one of training, and no test candidate has a twin in it.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from omegaconf import OmegaConf

from nap2.config import Config
from nap2.errors import EvaluationError, StoreError
from nap2.snapshots.manifest import Setting
from nap2.snapshots.reader import SnapshotReader, open_joint, open_snapshots
from nap2.stages.command.compose import CONF
from nap2.stages.pool.candidates import setting_of
from nap2.stages.pool.stored import labels_of, learning_rows, say_what_is_unlisted, store_roots

FEWEST = 3
"""Architectures that two datasets must share before the scale of one can be told in that of the other."""


@dataclass(frozen=True)
class Companion:
    """Candidates of another dataset, by arch string.

    Attributes:
        dataset: what they were trained on.
        ids: candidate ids.
        accuracy: labels (fractions) on that dataset's own scale, where they are known.
        lengths: snapshots by candidate id.
    """

    dataset: str
    ids: Mapping[str, str]
    accuracy: Mapping[str, float]
    lengths: Mapping[str, int] = field(default_factory=dict)

    def labels_on_scale_of(self, accuracy: Mapping[str, float], arch_strs: Iterable[str]) -> dict[str, float]:
        """Labels of the shared architectures, moved and stretched to mean and standard deviation of `accuracy`.

        Both moments are those of the shared ones of `arch_strs`, so nothing outside of them is looked at.

        Raises:
            EvaluationError: if fewer than three are shared, or their labels here are all equal.
        """
        shared = [arch for arch in arch_strs if arch in self.accuracy and arch in accuracy]
        theirs, own = (np.array([of[arch] for arch in shared]) for of in (self.accuracy, accuracy))
        if len(shared) < FEWEST or theirs.std() == 0:
            raise EvaluationError(
                f"{len(shared)} training architectures have labels on {self.dataset} too (of different value: "
                f"{len(set(theirs))}); a union needs {FEWEST}: collect more there, or leave it out of union."
            )
        scaled = own.mean() + (theirs - theirs.mean()) * (own.std() / theirs.std())
        return dict(zip(shared, scaled.tolist(), strict=True))


def companions_of(config: Config) -> tuple[Companion, ...]:
    """The candidates of every store and set in `union`.

    Raises:
        StoreError: if one is missing, holds nothing, is of a dataset named before, or differs in more than the dataset:
            statistics of two recipes or two widths cannot be compared.
    """
    found: list[Companion] = []
    say_what_is_unlisted(map(Path, config.union))
    for root in config.union:
        store = open_snapshots(root)
        setting = store.setting
        if differences := _differences(setting_of(config), setting):
            raise StoreError(f"{root} of union {'; '.join(differences[:3])}; leave it out of union.")
        if setting.dataset in (config.dataset.name, *(one.dataset for one in found)):
            raise StoreError(
                f"{root} of union holds {setting.dataset} once more; a second store of one dataset belongs into also."
            )
        rows = learning_rows(config, store)
        labels = labels_of(config, rows, labelled_as(setting.dataset))
        ids, lengths = {row.arch_str: row.id for row in rows}, {row.id: row.snapshots for row in rows}
        found.append(Companion(setting.dataset, ids, labels, lengths))
    return tuple(found)


def _differences(own: Setting, other: Setting) -> list[str]:
    """How two settings differ beside their datasets (and so classes) and seeds, in words."""
    found = [("space", own.space, other.space), ("snapshot.every", own.every, other.every)]
    for what, mine, theirs, free in (
        ("space.skeleton", own.skeleton, other.skeleton, "num_classes"),
        ("recipe", own.recipe, other.recipe, "seed"),
    ):
        names = sorted({*mine, *theirs} - {free})
        found += [(f"{what}.{name}", mine.get(name), theirs.get(name)) for name in names]
    return [f"has {name}={theirs}, this run {mine}" for name, mine, theirs in found if mine != theirs]


def open_with_union(config: Config) -> SnapshotReader:
    """The config's store and those of `union`, read as one: an id names its dataset."""
    return open_joint(roots_with_union(config), same_setting=False)


def roots_with_union(config: Config) -> list[Path]:
    """What is read as one: the config's store, what stands in `also`, and what stands in `union`."""
    return [*store_roots(config), *map(Path, config.union)]


def labelled_as(dataset: str) -> str:
    """The dataset whose published accuracies stand for those of `dataset`: another one for a stand-in."""
    path = CONF / "dataset" / f"{dataset}.yaml"
    described = OmegaConf.load(path) if path.is_file() else OmegaConf.create()
    return str(OmegaConf.select(described, "stand_in_for") or dataset)
