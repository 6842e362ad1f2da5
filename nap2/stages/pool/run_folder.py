"""Where the files of one run lie: what depends on the split under it, what on the encoder named by it."""

from dataclasses import dataclass, replace
from pathlib import Path

from nap2.config import Config
from nap2.stages.pool.encoder_name import encoder_name


@dataclass(frozen=True)
class RunFolder:
    """`<paths.runs>/<split>/…`; no name depends on the time of the call, so a rerun finds its files.

    Attributes:
        root: of one split, or of one fold.
        encoder: name of the encoders behind embeddings and predictors; what the autoencoders made has no suffix.
        on: the run whose candidates the embeddings are of, where these are another run's.
    """

    root: Path
    encoder: str = "cae"
    on: str = ""

    @classmethod
    def of(cls, config: Config) -> "RunFolder":
        """The folder of this config's split and encoder; folds, no test set, shorter ones, a union have their own."""
        options = config.split
        name = options.flavour
        if options.folds:
            name += f"-{options.folds}fold" + ("-redrawn" if options.redraw else "")
        elif not options.test_size:
            name += "-whole"
        if options.shorter:
            name += "-shorter"
        name = "+".join((name, *(Path(root).name for root in config.union)))
        return cls(Path(config.paths.runs) / name, encoder_name(config))

    def fold(self, fold: int, trial: int | None = None) -> "RunFolder":
        """One fold of a cross-validation; with a trial where each draws its own folds."""
        place = f"fold-{fold}" if trial is None else f"trial-{trial}-fold-{fold}"
        return replace(self, root=self.root / place)

    def split(self, trial: int) -> Path:
        """JSON of one trial's split."""
        return self.root / "splits" / f"trial-{trial}.json"

    def encoder_of(self, modality: str) -> Path:
        """Training state of one encoder; its released form lies in `checkpoint/` there."""
        return self.root / self.encoder / modality

    @property
    def embeddings(self) -> Path:
        """Zarr group of all embeddings."""
        target = f"-on-{self.on}" if self.on else ""
        return self.root / f"embeddings{self._suffix}{target}.zarr"

    @property
    def predictors(self) -> Path:
        """A folder for each predictor, named by its `Variant`."""
        return self.root / f"predictors{self._suffix}"

    @property
    def checkpoint(self) -> Path:
        """Encoders and every trial's predictor of the largest size: what `Predictor.from_pretrained` loads."""
        return self.root / f"checkpoint{self._suffix}"

    @property
    def config(self) -> Path:
        """YAML of the call that trained the predictors: by it they are found as the source of a transfer."""
        return self.root / f"predictors{self._suffix}.yaml"

    def results_from(self, source: str) -> Path:
        """Where the predictors of `<run>/<split>` are tested on this run's candidates."""
        return self.results / f"from-{source.replace('/', '-')}"

    @property
    def results(self) -> Path:
        """Result rows, tables and plots."""
        return self.root / "results"

    @property
    def _suffix(self) -> str:
        return "" if self.encoder == "cae" else f"-{self.encoder}"


def run_name(config: Config) -> str:
    """How what is fitted in a run is named elsewhere: `<run>/<split>`, by folders, as `evaluate.source` names it.

    Several runs may have one `name`: those of a sweep, and one that was copied.
    """
    split = RunFolder.of(config).root.absolute()
    return f"{split.parent.name}/{split.name}"
