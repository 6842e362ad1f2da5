"""Rows for a page of results: `python -m nap2.evaluation.kept_rows [--size N] RESULTS SECTION/NAME.jsonl [METHOD …]`.

`RESULTS` is the folder that `stage=evaluate` wrote. Of its rows those of Kendall's τ and Spearman's ρ are kept, of each
figure the latest on the candidates of the latest test, by default of all methods and train sizes; the paired
differences between them go into the section's own file, unless the section compares pools of several sizes.
"""

import argparse
import json
import sys
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from nap2.errors import DataFileError, EvaluationError, Nap2Error, check_name
from nap2.evaluation.judging.metrics import RHO, TAU
from nap2.evaluation.records import difference_log
from nap2.evaluation.records.latest_test import of_latest_test
from nap2.evaluation.records.rows import ResultRow, read_rows
from nap2.evaluation.results_page import DIFFERENCES, grows, section_rows

METRICS = (TAU.name, RHO.name)


def keep(results: Path, target: Path, methods: Sequence[str] = (), size: int | None = None) -> int:
    """Write the latest row of every figure to `target`, and the differences beside it.

    Args:
        results: folder of `rows.jsonl` and `differences.jsonl`.
        target: file of rows in the folder of a section; replaced.
        methods: names as in the rows; all of them by default.
        size: of what was fitted, rows of this train size alone; those fitted on nothing stay.

    Returns:
        How many rows were kept.

    Raises:
        UnknownNameError: a method without a row.
        DataFileError: no rows there, a line that is none, or a target that cannot be written.
        EvaluationError: a target that a page does not read, or that is the section's file of differences.
    """
    if target.name == DIFFERENCES:
        raise EvaluationError(f"{target} is where differences go; give the rows another name.")
    if target.suffix != ".jsonl":
        raise EvaluationError(
            f"{target} is no .jsonl file, and a page of results reads no other; name it {target}.jsonl."
        )
    found = latest(of_latest_test(read_rows(results / "rows.jsonl")))
    known = {row.method for row in found}
    for name in methods:
        check_name("method of these rows", name, known)
    sizes = {row.train_size for row in found} if size is None else {0, size}
    if size is not None and size not in {row.train_size for row in found}:
        fitted = ", ".join(str(row_size) for row_size in sorted({row.train_size for row in found} - {0}))
        raise EvaluationError(f"No row of {results} was fitted on {size} candidates; there are {fitted or 'none'}.")
    chosen = [row for row in found if row.method in (methods or known) and row.train_size in sizes]
    beside = target.with_name(DIFFERENCES)
    old, new = (difference_log.read_lines(path) if path.is_file() else [] for path in (beside, results / DIFFERENCES))
    new = [line for line in new if line["train_size"] in sizes]
    merged = _merged(old, new, {row.method for row in chosen})
    _write(target, (asdict(row) for row in chosen))
    if grows(section_rows(target.parent)):
        beside.unlink(missing_ok=True)
    elif new:
        _write(beside, merged)
    return len(chosen)


def latest(rows: Iterable[ResultRow]) -> list[ResultRow]:
    """Of every figure the row of the latest date, whatever seed and pool it names; in the order of first appearance."""
    found: dict[tuple[object, ...], ResultRow] = {}
    for row in sorted(rows, key=lambda row: row.date):
        if row.metric in METRICS:
            found[row.figure()] = row
    return list(found.values())


def _merged(
    old: Iterable[Mapping[str, Any]], new: Iterable[Mapping[str, Any]], methods: Collection[str]
) -> list[Mapping[str, Any]]:
    """The differences that were kept before, replaced and joined by those between the given methods."""
    fresh = [line for line in new if {line["method"], line["against"]} <= set(methods)]
    return difference_log.latest((*old, *fresh))


def _write(path: Path, lines: Iterable[Mapping[str, Any]]) -> None:
    text = "".join(json.dumps(line, sort_keys=True, allow_nan=False) + "\n" for line in lines)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise DataFileError(f"{path} cannot be written ({error.strerror}).") from error


if __name__ == "__main__":
    parser = argparse.ArgumentParser("python -m nap2.evaluation.kept_rows", description=__doc__)
    parser.add_argument("results", type=Path, help="folder that stage=evaluate wrote")
    parser.add_argument("target", type=Path, help="file of rows in the folder of a section, <section>/<name>.jsonl")
    parser.add_argument("methods", nargs="*", help="names as in the rows; all of them by default")
    parser.add_argument("--size", type=int, help="rows of this train size alone, and of what is fitted on nothing")
    asked = parser.parse_args()
    try:
        count = keep(asked.results, asked.target, asked.methods, asked.size)
    except Nap2Error as error:
        sys.exit(f"error: {error}")
    sys.stdout.write(f"{count} rows kept in {asked.target}\n")
