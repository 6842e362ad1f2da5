"""The published file of NAS-Bench-101 (`nasbench_only108.tfrecord` or `nasbench_full.tfrecord`) into a truth table.

Each record is one training run: hash of the graph, epochs, matrix, operations, and figures. A graph was trained three
times for 108 epochs, in the full file also for 4, 12 and 36.
"""

import base64
import json
import math
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from nap2.errors import ArchStringError, DataFileError
from nap2.truth.model_metrics import RunMetrics, read_metrics
from nap2.truth.table import TEST_ACCURACY, DatasetTruth, Floats, TruthTable
from nap2.truth.tfrecord import records

DATASET = "cifar10"
WHOLE = 108
"""Epochs of the runs whose accuracies are the labels; columns of shorter ones carry their number."""

ArchStrOfGraph = Callable[[Sequence[Sequence[int]], Sequence[str]], str]


@dataclass
class _Runs:
    """Figures of one architecture so far: sums over runs by epochs, `[runs, test, validation, seconds]`."""

    arch_str: str
    params: int
    sums: dict[int, list[float]] = field(default_factory=dict)

    def add(self, epochs: int, metrics: RunMetrics) -> None:
        figures = (1.0, metrics.test_accuracy, metrics.validation_accuracy, metrics.train_time_s)
        self.sums[epochs] = [a + b for a, b in zip(self.sums.get(epochs, [0.0] * 4), figures, strict=True)]


def import_tfrecord(
    path: Path | str,
    space: str,
    arch_str_of_graph: ArchStrOfGraph,
    *,
    watch: Callable[[Iterable[bytes]], Iterable[bytes]] = iter,
    source: str = "",
    licence: str = "",
) -> TruthTable:
    """Means over the runs of each architecture.

    Args:
        path: the published file.
        space: name of the search space.
        arch_str_of_graph: arch string of a matrix and published operation names; raises `ArchStringError`.
        watch: passes the records on, so that their number can be shown.
        source: where the figures come from; empty: the file's name.
        licence: what may be done with them.

    Raises:
        DataFileError: a file that cannot be read, a record that is none of the benchmark's, and which, or a cell that
            two graphs of the file stand for.
    """
    file, found = Path(path), dict[str, _Runs]()
    for number, record in enumerate(watch(records(file)), 1):
        try:
            _add(found, record, arch_str_of_graph)
        except (ValueError, TypeError, AttributeError, ArchStringError) as error:
            raise DataFileError(f"{file}, record {number} is none of NAS-Bench-101: {error}") from error
    if not any(WHOLE in runs.sums for runs in found.values()):
        raise DataFileError(f"{file} holds no run of {WHOLE} epochs, which are the labels.")
    return TruthTable(
        space,
        _each_once(file, [runs.arch_str for runs in found.values()]),
        {DATASET: DatasetTruth(_columns(list(found.values())), source or file.name, licence)},
    )


def _add(found: dict[str, _Runs], record: bytes, arch_str_of_graph: ArchStrOfGraph) -> None:
    graph, epochs, bits, operations, figures = json.loads(record)
    metrics = read_metrics(base64.b64decode(figures, validate=True))
    if graph not in found:
        size = math.isqrt(len(bits))
        matrix = [[int(bit) for bit in bits[row * size : (row + 1) * size]] for row in range(size)]
        found[graph] = _Runs(arch_str_of_graph(matrix, operations.split(",")), metrics.params)
    found[graph].add(int(epochs), metrics)


def _each_once(file: Path, arch_strs: Sequence[str]) -> tuple[str, ...]:
    for arch_str, count in Counter(arch_strs).items():
        if count > 1:
            raise DataFileError(f"{file} holds {arch_str!r} under {count} hashes: it is no published file.")
    return tuple(arch_strs)


def _columns(runs: Sequence[_Runs]) -> dict[str, Floats]:
    columns: dict[str, Floats] = {"params": np.array([float(one.params) for one in runs])}
    for epochs in sorted({epochs for one in runs for epochs in one.sums}):
        ending = "" if epochs == WHOLE else f"_epoch{epochs}"
        sums = np.array([one.sums.get(epochs, [math.nan] * 4) for one in runs])  # [A, 4]
        names = (TEST_ACCURACY, "validation_accuracy", "train_time_s")
        columns |= {f"{name}{ending}": sums[:, place] / sums[:, 0] for place, name in enumerate(names, 1)}
        columns[f"runs{ending}"] = sums[:, 0]
    return columns
