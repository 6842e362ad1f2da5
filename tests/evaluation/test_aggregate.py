"""One figure of several trials, each counted once."""

from statistics import stdev

import pytest

from nap2.evaluation.records.aggregate import aggregate
from nap2.evaluation.records.rows import ResultRow


def row(value: float, trial: int | None, seed: int | None, date: str = "2026-01-01") -> ResultRow:
    names = {"method": "nap2", "space": "s", "target": "t", "metric": "kendall_tau"}
    return ResultRow(**names, value=value, num_test=9, trial=trial, seed=seed, date=date)


def test_trials_are_averaged_and_the_row_over_them_is_shown() -> None:
    (found,) = aggregate([row(0.5, 0, 1), row(0.7, 1, 2), row(0.6, None, None)])
    assert (found.mean, found.num_trials, found.row.trial) == (pytest.approx(0.6), 2, None)
    assert found.std == pytest.approx(stdev([0.5, 0.7]))


def test_a_trial_evaluated_again_under_another_seed_is_one_trial_and_the_later_figure_holds() -> None:
    first = [row(0.5, 0, 1), row(0.7, 1, 2), row(0.6, None, None)]
    again = [row(0.1, 0, 8, "2026-01-02"), row(0.3, 1, 9, "2026-01-02"), row(0.2, None, None, "2026-01-02")]
    for rows in (first + again, again + first):
        (found,) = aggregate(rows)
        assert (found.mean, found.num_trials, found.row.value) == (pytest.approx(0.2), 2, 0.2)


def test_trials_of_an_earlier_evaluation_that_had_more_do_not_count() -> None:
    first = [row(0.9, trial, trial) for trial in range(4)] + [row(0.9, None, None)]
    again = [row(0.1, 0, 0, "2026-01-02"), row(0.3, 1, 1, "2026-01-02"), row(0.2, None, None, "2026-01-02")]
    for rows in (first + again, again + first):
        (found,) = aggregate(rows)
        assert (found.mean, found.num_trials, found.row.value) == (pytest.approx(0.2), 2, 0.2)
