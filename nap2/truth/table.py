"""The final accuracies of one search space, by arch string: one HDF5 file, in which unknown stays unknown."""

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from nap2.errors import DataFileError, UnknownNameError, check_name

Floats = NDArray[np.float64]
ClassOf = Callable[[str], str]

FORMAT = "nap2-truth"
VERSION = 1
TEST_ACCURACY = "test_accuracy"


@dataclass(frozen=True, eq=False)
class DatasetTruth:
    """What is known on one dataset.

    Attributes:
        columns: float64 `[A]` by name, NaN where unknown; `test_accuracy` (mean over seeds, fraction) is always there.
        source: where the figures come from.
        licence: what may be done with them.
    """

    columns: Mapping[str, Floats]
    source: str = ""
    licence: str = ""


@dataclass(frozen=True, eq=False)
class TruthTable:
    """Accuracies and other figures by arch string.

    Attributes:
        space: name in `nap2.spaces.SPACES`.
        arch_strs: the architectures of the rows, `[A]`.
        datasets: what is known, by lower-case dataset name.
    """

    space: str
    arch_strs: tuple[str, ...]
    datasets: Mapping[str, DatasetTruth] = field(repr=False)

    def accuracy(self, dataset: str, arch_str: str, twins_by: ClassOf | None = None) -> float | None:
        """The mean test accuracy as a fraction; None where it is unknown. See `accuracies`."""
        value = float(self.accuracies(dataset, [arch_str], twins_by)[0])
        return None if np.isnan(value) else value

    def accuracies(self, dataset: str, arch_strs: Sequence[str], twins_by: ClassOf | None = None) -> Floats:
        """Mean test accuracies as fractions.

        Args:
            dataset: name, in any case.
            arch_strs: `[A]`; one that the table does not hold is unknown.
            twins_by: class key of an arch string (a space's `classes["isomorphic"]`): an unknown accuracy is replaced
                by the mean over the known members of its class. None: it stays unknown.

        Returns:
            float64 `[A]`, NaN where unknown.

        Raises:
            UnknownNameError: a dataset that the table does not have.
        """
        values = self.column(dataset, TEST_ACCURACY, arch_strs)
        if twins_by is not None and np.isnan(values).any():
            means = self._class_means(dataset, twins_by)
            own = zip(arch_strs, values, strict=True)
            values = np.array([means.get(twins_by(arch), np.nan) if np.isnan(value) else value for arch, value in own])
        return values

    def column(self, dataset: str, name: str, arch_strs: Sequence[str] | None = None) -> Floats:
        """Any column of a dataset, float64 `[A]`, for some arch strings or for all rows."""
        columns = self._dataset(dataset).columns
        check_name(f"column of {dataset} in the truth table of {self.space}", name, columns)
        if arch_strs is None:
            return columns[name].copy()
        padded = np.append(columns[name], np.nan)  # the last place stands for what the table does not hold
        values: Floats = padded[[self._row_by_arch_str.get(arch_str, -1) for arch_str in arch_strs]]
        return values

    def known(self, dataset: str) -> tuple[str, ...]:
        """The arch strings whose test accuracy is known, in the order of the rows."""
        values = self._dataset(dataset).columns[TEST_ACCURACY]
        return tuple(arch for arch, value in zip(self.arch_strs, values, strict=True) if not np.isnan(value))

    def merged(self, other: "TruthTable", replace: bool = False) -> "TruthTable":
        """This table with the datasets of another one of the same space; what one does not know, the other may.

        Args:
            other: whose figures are added.
            replace: whether of a dataset that both have the other's alone are kept.

        Raises:
            DataFileError: another space, or a dataset of which both know other figures (unless it is to be replaced).
        """
        if other.space != self.space:
            raise DataFileError(f"A truth table of {self.space} cannot take in one of {other.space}: use its own file.")
        arch_strs = tuple(dict.fromkeys((*self.arch_strs, *other.arch_strs)))
        mine, theirs = (
            {name: _realigned(table, truth, arch_strs) for name, truth in table.datasets.items()}
            for table in (self, other)
        )
        if not replace:
            both = mine.keys() & theirs.keys()
            if differing := sorted(name for name in both if _contradict(mine[name], theirs[name])):
                raise DataFileError(
                    f"The truth table of {self.space} already has other figures of {', '.join(differing)}: "
                    "truth.replace=true keeps the new ones alone; or rename the new column."
                )
            theirs |= {name: _joined(mine[name], theirs[name]) for name in both}
        return TruthTable(self.space, arch_strs, mine | theirs)

    def save(self, path: Path | str) -> None:
        """Write the table, replacing the file atomically."""
        target = Path(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        staged = target.with_name(f".{target.name}.{os.getpid()}")
        try:
            with h5py.File(staged, "w") as file:
                self._write(file)
            staged.replace(target)
        finally:
            staged.unlink(missing_ok=True)

    @classmethod
    def open(cls, path: Path | str) -> "TruthTable":
        """Read a table into memory (5 MB for 15,625 architectures × 3 datasets); the file is closed again.

        Raises:
            DataFileError: a file that is missing, damaged, or no truth table of this version.
        """
        if not Path(path).is_file():
            raise DataFileError(f"There is no truth table at {path}: make it with `python train.py stage=truth`.")
        try:
            with h5py.File(path, "r") as file:
                return cls._read(file, Path(path))
        except (OSError, KeyError, ValueError, RuntimeError) as error:
            if isinstance(error, DataFileError):
                raise
            raise DataFileError(f"{path} is not a readable truth table ({error}): import it again.") from error

    def _write(self, file: Any) -> None:
        file.attrs.update(format=FORMAT, version=VERSION, space=self.space)
        names = np.array(
            [arch_str.encode() for arch_str in self.arch_strs]
        )  # fixed width, so that a checksum covers it
        file.create_dataset("arch_str", data=names, compression="gzip", fletcher32=True)
        for name, truth in self.datasets.items():
            group = file.create_group(f"datasets/{name}")
            group.attrs.update(source=truth.source, licence=truth.licence)
            for column, values in truth.columns.items():
                group.create_dataset(column, data=values, compression="gzip", shuffle=True, fletcher32=True)

    @classmethod
    def _read(cls, file: Any, path: Path) -> "TruthTable":
        found = (file.attrs.get("format"), file.attrs.get("version"))
        if found != (FORMAT, VERSION):
            raise DataFileError(
                f"{path} is not a truth table of version {VERSION} (found format {found[0]!r}, version {found[1]!r}):"
                " import it again."
            )
        arch_strs = tuple(name.decode() for name in file["arch_str"][:])
        groups = file["datasets"].items() if "datasets" in file else ()
        datasets = {
            name: DatasetTruth(
                {column: group[column][:] for column in group}, group.attrs["source"], group.attrs["licence"]
            )
            for name, group in groups
        }
        return cls(str(file.attrs["space"]), arch_strs, datasets)

    @cached_property
    def _row_by_arch_str(self) -> dict[str, int]:
        return {arch_str: row for row, arch_str in enumerate(self.arch_strs)}

    def _dataset(self, dataset: str) -> DatasetTruth:
        if dataset.lower() not in self.datasets:
            raise UnknownNameError(f"dataset in the truth table of {self.space}", dataset, self.datasets)
        return self.datasets[dataset.lower()]

    def _class_means(self, dataset: str, class_of: ClassOf) -> dict[str, float]:
        known: dict[str, list[float]] = {}
        for arch_str, value in zip(self.arch_strs, self._dataset(dataset).columns[TEST_ACCURACY], strict=True):
            if not np.isnan(value):
                known.setdefault(class_of(arch_str), []).append(float(value))
        return {key: float(np.mean(values)) for key, values in known.items()}


def _realigned(table: TruthTable, truth: DatasetTruth, arch_strs: Iterable[str]) -> DatasetTruth:
    rows = [table._row_by_arch_str.get(arch_str, -1) for arch_str in arch_strs]
    columns = {name: np.append(values, np.nan)[rows] for name, values in truth.columns.items()}
    return DatasetTruth(columns, truth.source, truth.licence)


def _contradict(first: DatasetTruth, second: DatasetTruth) -> bool:
    """Whether both know a figure, and not the same, wherever they come from."""
    return any(
        bool((~np.isnan(first.columns[name]) & ~np.isnan(second.columns[name]) & (first.columns[name] != values)).any())
        for name, values in second.columns.items()
        if name in first.columns
    )


def _joined(first: DatasetTruth, second: DatasetTruth) -> DatasetTruth:
    """All that either knows; where it comes from names both."""
    columns = {**second.columns, **first.columns}
    for name in first.columns.keys() & second.columns.keys():
        columns[name] = np.where(np.isnan(first.columns[name]), second.columns[name], first.columns[name])
    source, licence = (
        "; ".join(dict.fromkeys(text for text in pair if text))
        for pair in ((first.source, second.source), (first.licence, second.licence))
    )
    return DatasetTruth(columns, source, licence)
