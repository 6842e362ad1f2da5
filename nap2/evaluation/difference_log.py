"""Paired differences as append-only JSON lines beside the result rows: a card is written without fitting again."""

import json
import math
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path

from nap2.errors import DataFileError
from nap2.evaluation.bootstrap import Interval
from nap2.evaluation.differences import Difference
from nap2.evaluation.rows import append_lines


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
    """The differences at one train size, the latest of the same two methods, metric and budget.

    Raises:
        DataFileError: a file that is missing, or a line that is no difference, with its number.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise DataFileError(f"No differences at {path} ({error.strerror}): run stage=evaluate once more.") from error
    latest: dict[tuple[object, ...], Difference] = {}
    for number, line in enumerate(lines, start=1):
        try:
            size, one = _parsed(line)
        except (ValueError, TypeError, KeyError) as error:
            raise DataFileError(f"{path}, line {number}: no difference ({error!r}): remove the line.") from error
        if size == train_size:
            latest[one.method, one.against, one.metric, one.query_batches] = one
    return list(latest.values())


def _plain(one: Difference) -> dict[str, object]:
    numbers = asdict(one.interval)
    return {**asdict(one), "interval": {k: v if math.isfinite(v) else None for k, v in numbers.items()}}


def _parsed(line: str) -> tuple[int, Difference]:
    content = json.loads(line)
    size, _ = int(content.pop("train_size")), content.pop("commit", "")
    numbers = {k: math.nan if v is None else float(v) for k, v in content.pop("interval").items()}
    return size, Difference(**content, interval=Interval(**numbers))
