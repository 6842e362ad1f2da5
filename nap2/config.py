"""The schema of the composed config; `nap2/config_checks.py` refuses values that fit the schema and make no sense.

`conf/` holds the values and their sources; these dataclasses hold names and types. A composed config becomes one
`Config` before any work starts, so that a stage never meets a wrong key, a wrong type, or two settings that clash.
"""

from dataclasses import dataclass, field
from typing import Any

from hydra.core.config_store import ConfigStore
from omegaconf import MISSING

from nap2.schema import EMBEDDING_SIZE


@dataclass
class SpaceConfig:
    """Which search space, and the keyword arguments of its `build`."""

    name: str = MISSING
    skeleton: dict[str, int] = field(default_factory=dict)


@dataclass
class DatasetConfig:
    """Which images. `reader` is instantiated in the process that trains.

    `stand_in_for` names the dataset whose published accuracies are the labels, and marks every result row; `note` is a
    remark for readers, kept with the config of each call and read by nothing.
    """

    name: str = MISSING
    num_classes: int = MISSING
    reader: dict[str, Any] = field(default_factory=dict)
    num_train: int | None = None
    stand_in_for: str | None = None
    note: str | None = None


@dataclass
class SnapshotConfig:
    """Which candidates are trained, how far, and how often they are looked at."""

    candidates: str | None = None
    num_candidates: int | None = None
    one_per_class: bool = True
    sample_seed: int = 0
    every: int = 100
    num_snapshots: int = 1
    to_the_end: bool = False
    second_seed: int = 0
    prune: bool = True
    shard: str = "0/1"
    plan: bool = False
    skip_released: bool = True


@dataclass
class IndexConfig:
    """How thoroughly the store is verified."""

    full: bool = False


@dataclass
class ReleaseConfig:
    """The released snapshot set that gets the next part, and how large things may become."""

    folder: str = MISSING
    at_most: int = 100
    at_least: int = 1
    mantissa_bits: int = 7
    part_mb: float = 40.0
    set_mb: float = 60.0
    all_mb: float = 150.0


@dataclass
class TruthConfig:
    """Where published (or a user's own) accuracies come from: a CSV, or the file of NAS-Bench-101.

    `unit` is `percent` or `fraction`, null where the values tell; `origin` and `licence` are kept beside the figures.
    With `replace` a dataset's former figures go.
    """

    source: str | None = None
    unit: str | None = None
    origin: str = ""
    licence: str = ""
    replace: bool = False


@dataclass
class SplitConfig:
    """Architectures for training, validation and test of the predictor (App. D.4, E)."""

    flavour: str = "functional"
    train_sizes: list[int] = field(default_factory=lambda: [50])
    val_size: int = 100
    test_size: int = 200
    folds: int = 0
    redraw: bool = False
    shorter: bool = False
    trials: int = 10
    seed: int = 42


@dataclass
class CaeConfig:
    """Which autoencoders this call trains: both, weights or gradients."""

    modality: str = "both"
    cache_gb: float = 8.0


@dataclass
class PredictorConfig:
    """Which predictors this call trains: what they read, and how they read the snapshots (App. H.1, H.2)."""

    modality: str = "both"
    reading: str = "ordered"


@dataclass
class EvaluateConfig:
    """What the table shows, and how sure it is."""

    budgets: list[int] | None = None
    bootstrap: int = 1000
    baselines: bool = True
    source: str | None = None


@dataclass
class ProxiesConfig:
    """Which proxies are scored, on which networks, batches and seeds."""

    names: list[str] | None = None
    candidates: str | None = None
    num_candidates: int | None = 100
    known_only: bool = True
    batch_size: int = 64
    seeds: list[int] = field(default_factory=lambda: [0])
    batches: int = 1


@dataclass
class CurvesConfig:
    """Which candidates' training curves are drawn."""

    num_candidates: int = 12


@dataclass
class ReportConfig:
    """Published figures to print beside ours: a file of rows (docs/evaluation.md), null for the paper's, or `none`."""

    published: str | None = None


@dataclass
class RankConfig:
    """Rank architectures of the space, or importable models, with a trained predictor.

    `checkpoint` is the name or the folder of a predictor, null the run's own. `arch_strs` lists architectures, of which
    ten are drawn where nothing is named; `candidates` is a CSV with a column `arch_str`, or `store`: what the store
    holds, nothing is trained. `models` is a list of `[name=]module:attribute`, or a mapping from names to
    `module:attribute`; `query_batches` null means 100, or what the predictor reads that is nearest to it; `modality`
    null means the first that it has.
    """

    checkpoint: str | None = None
    candidates: str | None = None
    arch_strs: list[str] = field(default_factory=list)
    models: Any = None
    query_batches: int | None = None
    modality: str | None = None


@dataclass
class PublishConfig:
    """The name under which a trained predictor is released."""

    name: str = MISSING


@dataclass
class TrainerConfig:
    """Where things run."""

    device: str = "cpu"
    threads: int | None = None


@dataclass
class PathsConfig:
    """Every folder the project reads or writes."""

    data: str = MISSING
    store: str = MISSING
    runs: str = MISSING
    truth: str = MISSING
    checkpoints: str = MISSING


def _model() -> dict[str, Any]:
    """What a file of `conf/model/` need not say: one of a user's own may be from before there was a choice."""
    size = {"size": EMBEDDING_SIZE}
    return {"encoder": "cae", "features": "all", "unlabelled": False, "cae": size, "pca": dict(size)}


@dataclass
class Config:
    """The whole composed config."""

    stage: str = MISSING
    name: str = MISSING
    store: str = MISSING
    also: list[str] = field(default_factory=list)
    union: list[str] = field(default_factory=list)
    space: SpaceConfig = field(default_factory=SpaceConfig)
    dataset: DatasetConfig = field(default_factory=DatasetConfig)
    recipe: dict[str, Any] = field(default_factory=dict)
    model: dict[str, Any] = field(default_factory=_model)
    data: dict[str, dict[str, Any]] = field(default_factory=dict)
    snapshot: SnapshotConfig = field(default_factory=SnapshotConfig)
    index: IndexConfig = field(default_factory=IndexConfig)
    release: ReleaseConfig = field(default_factory=ReleaseConfig)
    truth: TruthConfig = field(default_factory=TruthConfig)
    split: SplitConfig = field(default_factory=SplitConfig)
    cae: CaeConfig = field(default_factory=CaeConfig)
    predictor: PredictorConfig = field(default_factory=PredictorConfig)
    evaluate: EvaluateConfig = field(default_factory=EvaluateConfig)
    proxies: ProxiesConfig = field(default_factory=ProxiesConfig)
    curves: CurvesConfig = field(default_factory=CurvesConfig)
    report: ReportConfig = field(default_factory=ReportConfig)
    rank: RankConfig = field(default_factory=RankConfig)
    publish: PublishConfig = field(default_factory=PublishConfig)
    trainer: TrainerConfig = field(default_factory=TrainerConfig)
    paths: PathsConfig = field(default_factory=PathsConfig)
    labels: str = "truth"
    workers: int = 1
    retry_failed: bool = False
    seed: int = 0


ConfigStore.instance().store(name="nap2_schema", node=Config)
