"""The file that stage=proxies fills, read into arrays: a line per network and batch, the proxies it was scored by.

`{"arch_str", "seed", "batch", "scores": {proxy: {"value", "failure", "seconds", "forwards"}}}`; either `value` or
`failure` is null. A network may have several lines, of other proxies each; of the same proxy the later one holds.
"""

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nap2.errors import DataFileError

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Task:
    """One network on one mini-batch: `seed` draws weights and whatever the proxies draw, `batch` picks the images."""

    arch_str: str
    seed: int
    batch: int


@dataclass(frozen=True, eq=False)
class Scores:
    """What is known of some tasks: arrays `[tasks, proxies]`, NaN where a proxy has no value.

    Attributes:
        tasks: of the first axis.
        names: proxies, of the second axis.
        values: float64.
        seconds: float64; NaN where the proxy was not tried.
        forwards: float64, forward passes of the batch.
        reasons: int32, place in `texts` of why there is no value; −1: not tried; 0: there is one.
        texts: reasons of failures; the first is empty.
    """

    tasks: tuple[Task, ...]
    names: tuple[str, ...]
    values: Floats
    seconds: Floats
    forwards: Floats
    reasons: NDArray[np.int32]
    texts: list[str] = field(default_factory=lambda: [""])

    @cached_property
    def arch_strs(self) -> list[str]:
        """The networks, each once, in the order of the tasks."""
        return list(dict.fromkeys(task.arch_str for task in self.tasks))

    @cached_property
    def trials(self) -> list[tuple[int, int]]:
        """What each network was scored with: (seed, batch), sorted."""
        return sorted({(task.seed, task.batch) for task in self.tasks})

    def by_trial(self, arch_strs: Sequence[str]) -> list[dict[str, Floats]]:
        """Of each trial the raw scores `[A]` of every proxy, NaN where there is none; there must be a task of each."""
        place = {task: row for row, task in enumerate(self.tasks)}
        rows = [[place[Task(arch, *trial)] for arch in arch_strs] for trial in self.trials]
        return [dict(zip(self.names, self.values[of_trial].T, strict=True)) for of_trial in rows]

    def cost(self, names: Sequence[str]) -> tuple[float, float]:
        """Mean seconds and forward passes of some proxies together, over the networks they were tried on."""
        columns = [self.names.index(name) for name in names]
        seconds, forwards = (np.nanmean(table[:, columns], axis=0).sum() for table in (self.seconds, self.forwards))
        return float(seconds), float(forwards)

    def missing(self) -> list[tuple[Task, tuple[str, ...]]]:
        """Tasks that some proxies were not tried on, with those proxies."""
        untried = self.reasons < 0
        return [
            (task, tuple(name for name, open_ in zip(self.names, row, strict=True) if open_))
            for task, row in zip(self.tasks, untried.tolist(), strict=True)
            if any(row)
        ]

    def failures(self) -> Counter[tuple[str, str]]:
        """How often each proxy failed for each reason."""
        counts: Counter[tuple[str, str]] = Counter()
        for column, name in enumerate(self.names):
            for place, count in Counter(self.reasons[:, column].tolist()).items():
                if place > 0:
                    counts[name, self.texts[place]] += count
        return counts


def read_scores(path: Path, tasks: Sequence[Task], names: Sequence[str]) -> Scores:
    """What `path` holds of these tasks and proxies; a last line that was left unfinished is passed over.

    Raises:
        DataFileError: a line that holds no scores, with its number.
    """
    shape = (len(tasks), len(names))
    values, seconds, forwards = (np.full(shape, np.nan) for _ in range(3))
    scores = Scores(tuple(tasks), tuple(names), values, seconds, forwards, np.full(shape, -1, np.int32))
    rows = {task: row for row, task in enumerate(tasks)}
    places = {"": 0}
    for number, line in enumerate(_lines(path), 1):
        try:
            content = json.loads(line)
            row = rows.get(Task(content["arch_str"], content["seed"], content["batch"]))
            if row is not None:
                _keep(scores, row, content["scores"], places)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise DataFileError(f"{path}, line {number}: no scores ({error!r}): remove the line.") from error
    scores.texts[:] = list(places)
    return scores


def _keep(scores: Scores, row: int, found: dict[str, dict[str, Any]], places: dict[str, int]) -> None:
    for column, name in enumerate(scores.names):
        score = found.get(name)
        if score is not None:
            scores.values[row, column] = np.nan if score["value"] is None else score["value"]
            scores.seconds[row, column] = score["seconds"]
            scores.forwards[row, column] = score["forwards"]
            scores.reasons[row, column] = places.setdefault(score["failure"] or "", len(places))


def _lines(path: Path) -> Iterator[bytes]:
    if path.is_file():
        with path.open("rb") as file:
            yield from (line for line in file if line.endswith(b"\n"))
