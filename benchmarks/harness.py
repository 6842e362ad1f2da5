"""How a figure is measured: two functions in turn, in one process, on one thread, by process CPU time.

CPU time does not see that another process held the core, and taking turns lets both sides see the same caches and
clock rates, so the ratio of a pair is steadier than either time. A figure is the median over pairs.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

import torch

SHORTEST_SAMPLE_S = 0.01  # what is faster than this is called several times per sample


@dataclass(frozen=True)
class Measurement:
    """One row of the table of figures.

    Attributes:
        row: what is measured.
        ours_s: seconds per call of ours, one per round.
        reference_s: seconds per call of the reference, one per round.
        goal: the figure that must be reached.
        stretch: the figure that would be excellent, if one is set.
        unit: unit of the figure; the default figure is `ratio`.
        note: what a reader must know to judge the row.
        value: the figure itself where it is no ratio of times (an error, a share, a size); the times may be empty.
        lower_is_better: whether the figure must stay below its goal.
    """

    row: str
    ours_s: Sequence[float]
    reference_s: Sequence[float]
    goal: float
    stretch: float | None = None
    unit: str = "x faster"
    note: str = ""
    value: float | None = None
    lower_is_better: bool = False

    @property
    def ratio(self) -> float:
        """Median over rounds of reference / ours: how many times faster ours is."""
        return median(theirs / ours for ours, theirs in zip(self.ours_s, self.reference_s, strict=True))

    @property
    def figure(self) -> float:
        """What is compared with the goal."""
        return self.ratio if self.value is None else self.value

    def reaches(self, bound: float) -> bool:
        """Whether the figure is at `bound` or on its good side."""
        return self.figure <= bound if self.lower_is_better else self.figure >= bound

    def as_dict(self) -> dict[str, Any]:
        """Plain containers, ready for JSON."""
        return {
            "row": self.row,
            "figure": self.figure,
            "unit": self.unit,
            "goal": self.goal,
            "stretch": self.stretch,
            "lower_is_better": self.lower_is_better,
            "goal_reached": self.reaches(self.goal),
            "stretch_reached": None if self.stretch is None else self.reaches(self.stretch),
            "ours_s": list(self.ours_s),
            "reference_s": list(self.reference_s),
            "note": self.note,
        }


def share(row: str, ours_s: Sequence[float], reference_s: Sequence[float], goal: float, **rest: Any) -> Measurement:
    """A row that says how many per cent of the reference's time ours takes (`goal` and `stretch` in per cent)."""
    per_cent = 100 * median(ours / theirs for ours, theirs in zip(ours_s, reference_s, strict=True))
    rest = {"unit": "% of reference", **rest}
    return Measurement(row, ours_s, reference_s, goal, value=per_cent, lower_is_better=True, **rest)


def at_most(row: str, value: float, goal: float, unit: str, **rest: Any) -> Measurement:
    """A row for a figure that is no time and must not exceed its goal (an error, a size)."""
    return Measurement(row, (), (), goal, unit=unit, value=value, lower_is_better=True, **rest)


def paired(
    ours: Callable[[], Any],
    reference: Callable[[], Any],
    rounds: int = 7,
    warmup: int = 1,
    clock: Callable[[], float] = time.process_time,
) -> tuple[list[float], list[float]]:
    """Seconds per call of two functions, measured in turn on one thread.

    Args:
        ours: what the library does.
        reference: what the plain code does.
        rounds: samples of each; the order within a pair alternates.
        warmup: calls of each before anything is measured.
        clock: process CPU seconds; on a GPU pass a wall clock that synchronises the device.

    Returns:
        Two lists of `rounds` times in seconds per call.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        sides = [(function, _calls_per_sample(function, warmup, clock)) for function in (ours, reference)]
        times: tuple[list[float], list[float]] = ([], [])
        for round_index in range(rounds):
            for side in (0, 1) if round_index % 2 == 0 else (1, 0):
                times[side].append(_seconds_per_call(*sides[side], clock))
    finally:
        torch.set_num_threads(threads)
    return times


def _calls_per_sample(function: Callable[[], Any], warmup: int, clock: Callable[[], float]) -> int:
    seconds = SHORTEST_SAMPLE_S
    for _ in range(warmup):
        seconds = _seconds_per_call(function, 1, clock)
    if seconds < SHORTEST_SAMPLE_S / 2:  # the first call may have paid for more than itself
        seconds = _seconds_per_call(function, 1, clock)
    return max(1, round(SHORTEST_SAMPLE_S / seconds))


def _seconds_per_call(function: Callable[[], Any], calls: int, clock: Callable[[], float]) -> float:
    start = clock()
    for _ in range(calls):
        function()
    return max(clock() - start, 1e-7) / calls
