"""Result rows: every number of every table, with what it was measured on, as append-only JSON lines."""

import fcntl
import json
import math
import os
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from nap2.errors import DataFileError, check_name
from nap2.evaluation.judging.exam import ExamFacts, MethodFacts
from nap2.snapshots.claims import NO_LOCKS

LABELS = ("imported", "measured")
FORMER_LABELS = {"published": "imported"}
"""Words of earlier versions: what was imported may be a user's own."""
NUMBERS = ("value", "low", "high", "standard_error", "init_time_s", "query_time_s", "query_forwards")
"""Fields that are None where they are undefined."""


@dataclass(frozen=True, kw_only=True)
class ResultRow(ExamFacts, MethodFacts):
    """One metric of one method on one test set.

    Attributes:
        trial: index of the trial; None: over all trials, with an interval.
        seed: of the method's own randomness; None over trials.
        query_batches: mini-batches of training seen for each test candidate.
        snapshots: of them.
        metric: name in `nap2.evaluation.judging.metrics.METRICS`.
        value: None where the metric is undefined; `note` says why.
        low: lower bound of the bootstrap interval over test candidates (and trials), where one was computed.
        high: upper bound.
        standard_error: of the value, from the same bootstrap.
        num_test: test candidates that were scored.
        num_failed: test candidates that the method could not score.
        query_time_s: seconds per candidate; None where not measured.
    """

    metric: str
    value: float | None
    num_test: int
    trial: int | None = None
    seed: int | None = None
    query_batches: int = 0
    snapshots: int = 0
    low: float | None = None
    high: float | None = None
    standard_error: float | None = None
    num_failed: int = 0
    query_time_s: float | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "label", FORMER_LABELS.get(self.label, self.label))
        check_name("kind of label", self.label, LABELS)
        for name in NUMBERS:
            number = getattr(self, name)
            if number is not None and not math.isfinite(number):
                object.__setattr__(self, name, None)  # NaN has no JSON; an undefined figure is None

    @property
    def num_asked(self) -> int:
        """Test candidates, scored or not: among them are the best whom a recall or coverage asks for."""
        return self.num_test + self.num_failed

    def key(self) -> tuple[object, ...]:
        """What was asked: a later row with an equal key replaces an earlier one."""
        return tuple(getattr(self, name) for name in KEY_FIELDS)

    def figure(self) -> tuple[object, ...]:
        """Which figure of a page it is, whatever seed and pool it names."""
        return tuple(getattr(self, name) for name in FIGURE_FIELDS)


KEY_FIELDS = (
    "method",
    "space",
    "source",
    "target",
    "recipe",
    "skeleton",
    "flavour",
    "protocol",
    "encoder",
    "train_size",
    "trial",
    "seed",
    "query_batches",
    "metric",
    "label",
    "stand_in",
    "cae_pool",
)
FIGURE_FIELDS = ("method", "metric", "encoder", "source", "target", "train_size", "trial", "query_batches")


def append_rows(path: Path, rows: Iterable[ResultRow]) -> None:
    """Add rows at the end of a file of JSON lines."""
    append_lines(path, (asdict(row) for row in rows))


def append_lines(path: Path, contents: Iterable[Mapping[str, Any]]) -> None:
    """Add JSON lines at the end of a file, in one write under a lock, so that concurrent writers never mix lines.

    A last line that an interrupted writer left unfinished is cut off first.
    """
    lines = "".join(json.dumps(content, sort_keys=True, allow_nan=False) + "\n" for content in contents)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+b") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX)
        except OSError as error:
            if error.errno not in NO_LOCKS:  # where there are none, a single writer still keeps what it found
                raise
        _cut_unfinished_line(file.fileno())
        file.write(lines.encode())
        file.flush()
        os.fsync(file.fileno())


def read_rows(path: Path) -> list[ResultRow]:
    """All rows of a file, the latest of equal keys, in the order in which their keys first appeared.

    One that names neither sizes of networks nor what was changed of the recipe, as earlier versions wrote them, gives
    way to a later one of the same figure that does.

    Raises:
        DataFileError: a file that is missing, or a line that is no row, with its number.
    """
    told: set[tuple[object, ...]] = set()
    kept: list[ResultRow] = []
    for row, tells in reversed(list(_rows_of(path))):
        figure = replace(row, trial=None, seed=None, skeleton="", recipe=row.recipe.partition(",")[0]).key()
        if tells:
            told.add(figure)
        if tells or figure not in told:
            kept.append(row)
    return list({row.key(): row for row in reversed(kept)}.values())


def _rows_of(path: Path) -> Iterable[tuple[ResultRow, bool]]:
    """Each row, and whether it tells all that a row does now."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataFileError(f"No result rows at {path} ({error.strerror}): run an evaluation first.") from error
    for number, line in enumerate(content.split(b"\n")[:-1], start=1):  # an unfinished last line is no row yet
        if line.strip():
            yield _row(line, f"{path}, line {number}")


def _row(line: bytes, place: str) -> tuple[ResultRow, bool]:
    try:
        content: Any = json.loads(line)
        if "encoder" not in content:  # when rows did not name it there was one kind
            content["encoder"] = "cae" if content.get("cae_pool") else ""
        return ResultRow(**content), "skeleton" in content
    except (ValueError, TypeError) as error:
        raise DataFileError(f"{place}: not a result row ({error}): repair or remove the line.") from error


def _cut_unfinished_line(descriptor: int) -> None:
    size = os.fstat(descriptor).st_size
    if size == 0 or os.pread(descriptor, 1, size - 1) == b"\n":
        return
    content = os.pread(descriptor, size, 0)
    os.ftruncate(descriptor, content.rfind(b"\n") + 1)
