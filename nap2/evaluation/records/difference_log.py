"""Paired differences as append-only JSON lines beside the result rows: a card is written without fitting again."""

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from nap2.errors import DataFileError
from nap2.evaluation.judging.bootstrap import Interval
from nap2.evaluation.judging.differences import Difference
from nap2.evaluation.records.rows import append_lines

COMPARED = ("train_size", "method", "query_batches", "against", "against_batches", "metric")
SOURCES = ("source", "against_source")


def append_differences(path: Path, found: Iterable[Difference], train_size: int, commit: str = "") -> None:
    """Add the differences of one evaluation; undefined numbers become null.

    Args:
        path: of the JSON lines.
        found: differences on one test set.
        train_size: labelled candidates that the methods were fitted on.
        commit: of the code.
    """
    append_lines(path, ({**_plain(one), "train_size": train_size, "commit": commit} for one in found))


def read_differences(path: Path, train_size: int) -> list[Difference]:
    """The differences at one train size, the latest of the same two methods, sources, budgets and metric.

    Raises:
        DataFileError: see `read_lines`.
    """
    return [one for size, one in map(_parsed, latest(read_lines(path))) if size == train_size]


def read_lines(path: Path) -> list[dict[str, Any]]:
    """What is written there, every line checked.

    Raises:
        DataFileError: a file that is missing, or a line that is no difference, with its number.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise DataFileError(f"No differences at {path} ({error.strerror}): run stage=evaluate once more.") from error
    contents: list[dict[str, Any]] = []
    for number, line in enumerate(lines, start=1):
        try:
            contents.append(json.loads(line))
            _parsed(contents[-1])
        except (ValueError, TypeError, KeyError) as error:
            raise DataFileError(f"{path}, line {number}: no difference ({error!r}): remove the line.") from error
    return contents


def latest(contents: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Of lines that compare the same, sources included, the last; one that names no source gives way to one that does.

    Earlier versions named none.
    """
    found: dict[tuple[object, ...], Mapping[str, Any]] = {}
    for content in contents:
        compared = tuple(content[name] for name in COMPARED)
        sources = tuple(content.get(name, "") for name in SOURCES)
        if any(sources):
            found.pop((*compared, *("" for _ in SOURCES)), None)
        found[*compared, *sources] = content
    return list(found.values())


def _plain(one: Difference) -> dict[str, object]:
    numbers = asdict(one.interval)
    return {**asdict(one), "interval": {k: v if math.isfinite(v) else None for k, v in numbers.items()}}


def _parsed(content: Mapping[str, Any]) -> tuple[int, Difference]:
    numbers = {k: math.nan if v is None else float(v) for k, v in content["interval"].items()}
    rest = {k: v for k, v in content.items() if k not in ("interval", "train_size", "commit")}
    return int(content["train_size"]), Difference(**rest, interval=Interval(**numbers))
