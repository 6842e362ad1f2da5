"""The vocabulary: axis letters, statistic names, and every array that crosses a stage.

Axes: `A` architectures, `B` batch, `T` snapshots, `M` modality, `L` layers, `V` values, `F` statistics,
`D` embedding, `N` entries of one flat (ragged) map, `S` optimizer steps.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

SCHEMA_VERSION = 1
"""Version of the snapshot store's layout; a store of another version is migrated or refused, never misread."""

MAX_LAYERS = 65  # L, App. B.6
MAX_VALUES = 100  # V, App. B.6
MAX_SNAPSHOTS = 23  # T, App. B.1
SAMPLED_UNITS = 99  # S, App. B.4
QUANTILE_UNITS = 19  # 5 * (1 + 19) = 100 places
SAMPLING_SEED = 42  # App. B.4
EMBEDDING_SIZE = 128  # per modality, App. C.1
DEFAULT_EVERY = 100  # optimizer steps between snapshots

MODALITIES = ("weights", "gradients")
STATISTICS = (
    "mean",
    "median",
    "variance",
    "std",
    "minimum",
    "maximum",
    "skewness",
    "kurtosis",
    "covariance",
    "l1_norm",
    "l2_norm",
    "quantiles",
)
SCALAR_STATISTICS = STATISTICS[:-1]
QUANTILES = (0.0, 0.25, 0.5, 0.75, 1.0)
COUNTS = ("non_finite_values", "constant_tensors", "single_values", "empty_tensors", "saturated_statistics")
"""What was out of the ordinary in one snapshot of one modality; stored beside it, never silently absorbed."""

NUM_STATISTICS = len(STATISTICS)
MAP_SHAPE = (MAX_LAYERS, MAX_VALUES, NUM_STATISTICS)


@dataclass(frozen=True, slots=True)
class ArraySpec:
    """Axes, dtype and unit of one array that crosses a stage."""

    axes: tuple[str, ...]
    dtype: str
    unit: str
    meaning: str


ARRAYS: Mapping[str, ArraySpec] = MappingProxyType(
    {
        "values": ArraySpec(("T", "M", "N"), "float32", "raw", "ragged feature maps, see nap2/snapshots/layout.py"),
        "units": ArraySpec(("L",), "int64", "units", "output units of each recorded layer, before sampling"),
        "counts": ArraySpec(("T", "M", "C"), "int64", "occurrences", "see COUNTS"),
        "train_loss": ArraySpec(("S",), "float32", "nats", "cross-entropy of each mini-batch"),
        "snapshot_accuracy": ArraySpec(("T",), "float32", "fraction", "validation accuracy when a snapshot was taken"),
        "snapshot_seconds": ArraySpec(("T",), "float32", "s", "training time up to the snapshot, validation excluded"),
        "epoch_accuracy": ArraySpec(("E",), "float32", "fraction", "validation accuracy after each epoch"),
        "map": ArraySpec(("L", "V", "F"), "float32", "raw", "dense feature map of one modality"),
        "encoder_input": ArraySpec(("B", "F", "L", "V"), "float32", "log", "log-normalised maps, channels first"),
        "embedding": ArraySpec(("A", "T", "D"), "float32", "1", "[weights 128 ; gradients 128]"),
        "length": ArraySpec(("A",), "int64", "snapshots", "embeddings of each candidate; 0: none yet"),
        "accuracy": ArraySpec(("A",), "float64", "fraction", "published or measured final test accuracy"),
    }
)
