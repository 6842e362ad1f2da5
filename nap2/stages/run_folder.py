"""Where the files of one run lie: everything that depends on the split flavour sits under it."""

from dataclasses import dataclass
from pathlib import Path

from nap2.config import Config


@dataclass(frozen=True)
class RunFolder:
    """`<paths.runs>/<flavour>/…`; no name depends on the time of the call, so a rerun finds its files."""

    root: Path

    @classmethod
    def of(cls, config: Config) -> "RunFolder":
        """The folder of this config's runs and split flavour."""
        return cls(Path(config.paths.runs) / config.split.flavour)

    def split(self, trial: int) -> Path:
        """JSON of one trial's split."""
        return self.root / "splits" / f"trial-{trial}.json"

    def cae(self, modality: str) -> Path:
        """Training state of one autoencoder; its released form lies in `checkpoint/` there."""
        return self.root / "cae" / modality

    @property
    def embeddings(self) -> Path:
        """Zarr group of all embeddings."""
        return self.root / "embeddings.zarr"

    def predictor(self, train_size: int, trial: int, modality: str = "both") -> Path:
        """Training state of one predictor; its released form lies in `checkpoint/` there."""
        alone = "" if modality == "both" else f"-{modality}"
        return self.root / "predictors" / f"n{train_size}-trial{trial}{alone}"

    @property
    def checkpoint(self) -> Path:
        """Encoders and every trial's predictor of the largest size: what `Predictor.from_pretrained` loads."""
        return self.root / "checkpoint"

    @property
    def results(self) -> Path:
        """Result rows, tables and plots."""
        return self.root / "results"
