"""Which predictors of a run: what they read of an embedding, and how they read the snapshots (App. H.1, H.2)."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nap2.config import Config
from nap2.models.bigru import BiGRUPredictor
from nap2.models.readings import ORDERED, PER_BUDGET, READINGS
from nap2.models.snapshot_mlp import SnapshotMLP
from nap2.schema import MODALITIES
from nap2.stages.command.console import say
from nap2.stages.pool.run_folder import RunFolder
from nap2.stages.pool.splits import Pool

AnyPredictor = BiGRUPredictor | SnapshotMLP


@dataclass(frozen=True)
class Variant:
    """Predictors of one kind; as they stand here, NAP2's own."""

    modality: str = "both"
    reading: str = ORDERED

    @classmethod
    def of(cls, config: Config) -> "Variant":
        """Those that `stage=predictor` is asked for."""
        return cls(config.predictor.modality, config.predictor.reading)

    @property
    def words(self) -> list[str]:
        """How it differs from NAP2; nothing where it does not."""
        alone = [] if self.modality == "both" else [f"{self.modality} alone"]
        return alone + ([] if self.reading == ORDERED else [self.reading.replace("_", " ")])

    def budgets(self, snapshots: Sequence[int]) -> list[int | None]:
        """The predictor that serves each of these numbers of snapshots, once: by that number, or None for all."""
        return list(dict.fromkeys(self.budget_at(count) for count in snapshots))

    def budget_at(self, count: int) -> int | None:
        """Which predictor serves this number of snapshots: one of its own, or (None) that of all."""
        return count if self.reading in PER_BUDGET else None

    def folder(self, run: RunFolder, size: int, trial: int, budget: int | None = None) -> Path:
        """Training state of one predictor; its released form lies in `checkpoint/` there."""
        alone = "" if self.modality == "both" else f"-{self.modality}"
        read = "" if self.reading == ORDERED else f"-{self.reading}"
        own = "" if budget is None else f"-{budget}"
        return run.predictors / f"n{size}-trial{trial}{alone}{read}{own}"

    def are_there(self, pools: Sequence[Pool], size: int, snapshots: Sequence[int] = (1,)) -> list[bool]:
        """Of each predictor of a train size, for these numbers of snapshots: whether it is fitted."""
        return [
            (self.folder(pool.folder, size, split.trial, budget) / "checkpoint/spec.json").is_file()
            for pool in pools
            for split in pool.splits
            for budget in self.budgets(snapshots)
        ]

    def net(self, config: Config, input_size: int) -> AnyPredictor:
        """One predictor, its weights drawn from torch's random state."""
        options: dict[str, Any] = config.model["predictor"]
        if self.reading in PER_BUDGET:
            return SnapshotMLP(input_size, hidden=options["hidden"], dropout=options["dropout"])
        return BiGRUPredictor(
            input_size, hidden=options["hidden"], layers=options["layers"], dropout=options["dropout"]
        )


def fitted_sizes(pools: Sequence[Pool], modality: str = "both") -> list[int]:
    """The train sizes, rising, at which there is a predictor of this modality of every pool and trial."""
    largest = min(len(pool.splits[0].train) for pool in pools)
    return [size for size in range(2, largest + 1) if all(Variant(modality).are_there(pools, size))]


def fitted_variants(pools: Sequence[Pool], size: int, snapshots: Sequence[int]) -> list[Variant]:
    """NAP2's own, and each other of which every pool and trial has the predictors of these budgets."""
    others = [Variant(modality, reading) for reading in READINGS for modality in ("both", *MODALITIES)][1:]
    found = [Variant()]
    for variant in others:
        fitted = variant.are_there(pools, size, snapshots)
        if all(fitted):
            found.append(variant)
        elif any(fitted):
            said = f"{sum(fitted)} of {len(fitted)} predictors on {size} are there"
            say(f"{', '.join(variant.words)}: left out, {said}")
    return found
