"""Result rows of single trials into one figure each: mean, standard deviation over trials, and the interval."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from statistics import fmean, stdev

from nap2.evaluation.records.rows import ResultRow


@dataclass(frozen=True, slots=True)
class Aggregate:
    """One figure of a table.

    Attributes:
        row: what was measured, with its bootstrap interval, where one was computed; its trial and seed are None.
        mean: over the trials in which it is defined; None if it is defined in none.
        std: sample standard deviation over trials; None with fewer than two.
        num_trials: trials in which it is defined.
        num_undefined: trials in which it is not.
    """

    row: ResultRow
    mean: float | None
    std: float | None
    num_trials: int
    num_undefined: int


def aggregate(rows: Iterable[ResultRow]) -> list[Aggregate]:
    """One aggregate per method, budget, metric and setting, in the order in which they first appear.

    Of trials that were evaluated several times the latest counts, and none from before the row over all trials: an
    earlier evaluation may have had more of them.
    """
    groups: dict[tuple[object, ...], list[ResultRow]] = {}
    for row in rows:
        groups.setdefault(replace(row, trial=None, seed=None).key(), []).append(row)
    return [_aggregate(group) for group in groups.values()]


def _aggregate(group: list[ResultRow]) -> Aggregate:
    latest = {row.trial: row for row in sorted(group, key=lambda row: row.date)}  # a seed changed later is no new trial
    overall = latest.get(None)
    begun = overall.date if overall is not None else ""
    trials = [row for trial, row in latest.items() if trial is not None and row.date >= begun]
    values = [row.value for row in trials if row.value is not None]
    if not trials and overall is not None and overall.value is not None:
        values = [overall.value]
    shown = overall or replace(group[-1], trial=None, seed=None)
    return Aggregate(
        row=shown,
        mean=fmean(values) if values else None,
        std=stdev(values) if len(values) > 1 else None,
        num_trials=len(values),
        num_undefined=len(trials) - len(values) if trials else int(not values),
    )
