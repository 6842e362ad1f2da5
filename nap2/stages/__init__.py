"""The stages of `python train.py stage=…`, in the order of the data. Wiring only: no arithmetic lives here."""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nap2.config import Config


@dataclass(frozen=True, slots=True)
class Stage:
    """One value of `stage=`: `nap2.stages.<name>_stage` holds its `run(config)`."""

    name: str
    reads: str
    writes: str
    help: str

    @property
    def module(self) -> str:
        """Where its `run` lives; imported only when it is run."""
        return f"nap2.stages.{self.name}_stage"

    def run(self, config: "Config") -> int:
        """Run it on a composed config; returns the exit code."""
        return int(import_module(self.module).run(config))


STAGES: Mapping[str, Stage] = MappingProxyType(
    {
        stage.name: stage
        for stage in (
            Stage("snapshot", "images", "store", "train candidates for a while and store their snapshots"),
            Stage("index", "store", "index.csv", "verify every stored candidate and list them"),
            Stage("release", "store", "a snapshot set", "add what is new in the store to a released snapshot set"),
            Stage("truth", "a CSV or .tfrecord", "truth table", "import published (or your own) final accuracies"),
            Stage("cae", "store", "two encoders", "train the autoencoders of weights and gradients"),
            Stage("embed", "store, encoders", "embeddings", "encode every snapshot of every candidate"),
            Stage("predictor", "embeddings, labels", "checkpoints", "train the BiGRU predictors"),
            Stage("evaluate", "checkpoints", "rows, table, plot", "rank the test candidates at every query budget"),
            Stage("proxies", "images", "rows, table, plot", "score untrained networks with every zero-cost proxy"),
            Stage("curves", "store", "plot", "draw the training curves of stored candidates"),
            Stage("report", "rows", "report.md, report.tex", "all result rows beside published figures"),
            Stage("publish", "a checkpoint, rows", "a released predictor", "name a predictor and write its card"),
            Stage("rank", "images, a checkpoint", "ranking", "train architectures for one query and rank them"),
            Stage("pipeline", "images", "rows, table, plot", "snapshot → index → cae → embed → predictor → evaluate"),
        )
    }
)
