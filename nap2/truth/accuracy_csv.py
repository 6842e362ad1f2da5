"""Accuracies from a CSV file, published or a user's own, into a truth table."""

import csv
import gzip
import hashlib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

import numpy as np

from nap2.errors import ArchStringError, DataFileError, UnknownNameError
from nap2.truth.table import TEST_ACCURACY, DatasetTruth, Floats, TruthTable
from nap2.truth.units import UNITS, detected_unit, fractions

MISSING = frozenset({"", "nan", "na", "none"})

PUBLISHED_COLUMNS: Mapping[str, str] = MappingProxyType(
    {
        r"test_acc_(?P<dataset>.+)": TEST_ACCURACY,
        r"val_acc_(?P<dataset>.+?)": "validation_accuracy",
        r"val_acc_(?P<dataset>.+)_r(?P<run>\d+)": "validation_accuracy_run{run}",
        r"val_n_seeds_(?P<dataset>.+)": "validation_runs",
        r"ep12_test_acc_(?P<dataset>.+)": "test_accuracy_epoch12",
        r"ep12_val_acc_(?P<dataset>.+)": "validation_accuracy_epoch12",
        r"ep12_cost_s_(?P<dataset>.+)": "train_time_s_epoch12",
        r"train_time_(?P<dataset>.+)": "train_time_s",
        r"params_(?P<dataset>.+)": "params",
    }
)
"""Column names of the published layout; where several patterns match, the last one holds. Others carry no figure."""

_IGNORED = frozenset({"index", "arch_str"})

Line = tuple[int, list[str]]
"""Its number in the file, and its fields."""

Lines = Sequence[Line]
Watch = Callable[[Lines], Iterable[Line]]


def import_csv(
    path: Path | str,
    space: str,
    check: Callable[[str], None],
    *,
    unit: str | None = None,
    watch: Watch = iter,
    source: str = "",
    licence: str = "",
) -> TruthTable:
    """Read accuracies by arch string.

    Two layouts: the published one (`test_acc_<dataset>` and the other names of `PUBLISHED_COLUMNS`, per cent), or
    `arch_str` beside one column of test accuracies per dataset. An empty cell is unknown and stays so.

    Args:
        path: CSV with a header, optionally gzipped.
        space: name of the search space.
        check: raises `ArchStringError` for a string that is no architecture of it.
        unit: `percent` or `fraction`; None: per cent in the published layout, otherwise read off the values.
        watch: passes the lines on, whose arch strings are checked one by one, so that their number can be shown.
        source: where the figures come from; empty: the file's name and hash.
        licence: what may be done with them.

    Raises:
        DataFileError: the file, line and column that cannot be read, and why.
        UnknownNameError: a unit that does not exist.
    """
    if unit is not None and unit not in UNITS:
        raise UnknownNameError("unit of accuracy", unit, UNITS)
    file = Path(path)
    content = _content(file)
    header, lines = _table(file, content)
    places = _places(file, header)
    arch_strs = _arch_strs(file, header.index("arch_str"), watch(lines), check)
    values = {name: _numbers(file, name, header.index(name), lines) for name in places}
    accuracies = {name: values[name] for name, (_, column) in places.items() if "accuracy" in column}
    scale = 100.0 if (unit or detected_unit(file, accuracies, _is_published(header))) == "percent" else 1.0
    for name, column in accuracies.items():
        values[name] = fractions(file, name, column, scale, [number for number, _ in lines])
    origin = source or f"{file.name} sha256:{hashlib.sha256(content).hexdigest()[:16]}"
    return TruthTable(space, arch_strs, _datasets(file, places, values, origin, licence))


def _content(file: Path) -> bytes:
    try:
        raw = file.read_bytes()
        return gzip.decompress(raw) if raw[:2] == b"\x1f\x8b" else raw
    except FileNotFoundError as error:
        raise DataFileError(f"There is no accuracy file at {file}; correct truth.source.") from error
    except (OSError, EOFError) as error:
        raise DataFileError(f"{file} cannot be read ({error}).") from error


def _table(file: Path, content: bytes) -> tuple[list[str], Lines]:
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataFileError(
            f"{file} is not UTF-8 text ({error.reason} at byte {error.start}): save it as CSV."
        ) from error
    reader = csv.reader(text.splitlines(), strict=True)
    try:
        header = [name.strip() for name in next(reader, [])]
        lines = [(reader.line_num, cells) for cells in reader if any(map(str.strip, cells))]
    except csv.Error as error:
        raise DataFileError(
            f"{file} is no CSV up to line {reader.line_num} ({error}); close the quotes there."
        ) from error
    if "arch_str" not in header:
        hint = " Columns are separated by commas." if len(header) == 1 else ""
        raise DataFileError(f"{file} has no column arch_str; its header is {', '.join(header)[:200] or 'empty'}.{hint}")
    doubled = sorted({name for name in header if header.count(name) > 1})
    if doubled:
        raise DataFileError(f"{file} has the column {doubled[0]} twice.")
    for number, cells in lines:
        if len(cells) != len(header):
            raise DataFileError(f"{file}, line {number} has {len(cells)} fields; the header has {len(header)}.")
    if not lines:
        raise DataFileError(f"{file} has a header and no architectures.")
    return header, lines


def _places(file: Path, header: Sequence[str]) -> dict[str, tuple[str, str]]:
    """(dataset, column of the truth table) by name of CSV column."""
    if not _is_published(header):
        places = {name: (name.lower(), TEST_ACCURACY) for name in header if name not in _IGNORED}
    else:
        places = {name: place for name in header if name not in _IGNORED for place in _published_place(file, name)}
    for name, (dataset, _) in places.items():
        if not re.fullmatch(r"[\w.+-]+", dataset):
            raise DataFileError(f"{file}: {name!r} cannot name a dataset: use letters, digits, '-', '+', '.' and '_'.")
    if not places:
        raise DataFileError(f"{file} has no column of accuracies beside arch_str: name one after its dataset.")
    if len(set(places.values())) < len(places):
        raise DataFileError(f"{file} has two columns for one dataset: names differ in more than case.")
    return places


def _is_published(header: Sequence[str]) -> bool:
    return any(name.startswith("test_acc_") for name in header)


def _published_place(file: Path, name: str) -> Iterator[tuple[str, str]]:
    matches = [
        (match, column) for pattern, column in PUBLISHED_COLUMNS.items() if (match := re.fullmatch(pattern, name))
    ]
    if not matches:
        known = ", ".join(pattern.replace(r"(?P<dataset>.+)", "<dataset>") for pattern in list(PUBLISHED_COLUMNS)[:2])
        raise DataFileError(f"{file}: the column {name!r} has no known meaning beside {known}, …: remove or rename it.")
    match, column = matches[-1]
    yield match["dataset"].lower(), column.format(**match.groupdict())


def _arch_strs(file: Path, place: int, lines: Iterable[Line], check: Callable[[str], None]) -> tuple[str, ...]:
    first_line: dict[str, int] = {}
    for number, cells in lines:
        arch_str = cells[place].strip()
        try:
            check(arch_str)
        except ArchStringError as error:
            raise DataFileError(f"{file}, line {number}: {error}") from error
        if arch_str in first_line:
            raise DataFileError(f"{file}, line {number}: {arch_str} was given in line {first_line[arch_str]} already.")
        first_line[arch_str] = number
    return tuple(first_line)


def _numbers(file: Path, name: str, place: int, lines: Lines) -> Floats:
    values = np.full(len(lines), np.nan)
    for row, (number, cells) in enumerate(lines):
        cell = cells[place].strip()
        if cell.lower() in MISSING:
            continue
        try:
            values[row] = float(cell)
        except ValueError as error:
            raise DataFileError(
                f"{file}, line {number}, column {name}: {cell!r} is not a number; correct it, or remove the column if "
                "it holds no accuracies."
            ) from error
    return values


def _datasets(
    file: Path, places: Mapping[str, tuple[str, str]], values: Mapping[str, Floats], source: str, licence: str
) -> dict[str, DatasetTruth]:
    columns: dict[str, dict[str, Floats]] = {}
    for name, (dataset, column) in places.items():
        columns.setdefault(dataset, {})[column] = values[name]
    bare = sorted(dataset for dataset, found in columns.items() if TEST_ACCURACY not in found)
    if bare:
        raise DataFileError(f"{file} has columns of {bare[0]} but no test accuracies of it: add test_acc_{bare[0]}.")
    return {dataset: DatasetTruth(found, source, licence) for dataset, found in columns.items()}
