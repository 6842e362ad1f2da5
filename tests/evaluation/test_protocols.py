from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import kendalltau, spearmanr
from select_rows import select

from nap2.errors import EvaluationError
from nap2.evaluation.judging.bootstrap import interval
from nap2.evaluation.judging.differences import differences
from nap2.evaluation.judging.exam import Exam, Predictions
from nap2.evaluation.judging.metrics import METRICS, RHO, TAU
from nap2.evaluation.records.aggregate import aggregate
from nap2.evaluation.records.protocols import metrics_for, result_rows

TRUTH = np.random.default_rng(0).beta(5, 2, 60)
EXAM = Exam(space="space", target="cifar10", truth=TRUTH, flavour="functional", commit="abc", versions={"torch": "2"})


def predictions(method="nap2", noise=(0.3, 0.1), trials=3, seed=0, **changes):
    random = np.random.default_rng(seed)
    values = TRUTH + np.array(noise)[None, :, None] * random.normal(size=(trials, len(noise), TRUTH.size))
    batches = tuple(100 * (place + 1) for place in range(len(noise)))
    given = {"query_batches": batches, "snapshots": tuple(range(1, len(noise) + 1)), "seeds": tuple(range(trials))}
    return Predictions(method=method, values=values, **{**given, **changes})


def test_every_trial_and_budget_has_its_row_and_the_mean_has_an_interval():
    mine = predictions()
    rows = result_rows(mine, EXAM, [TAU, RHO], rounds=50)
    assert len(rows) == 2 * 2 * (3 + 1)
    row = select(rows, trial=1, query_batches=200, metric="kendall_tau")[0]
    assert row.value == pytest.approx(kendalltau(mine.values[1, 1], TRUTH).statistic)
    overall = select(rows, trial=None, query_batches=100, metric="spearman_rho")[0]
    assert overall.value == pytest.approx(np.mean([spearmanr(trial[0], TRUTH).statistic for trial in mine.values]))
    assert overall.low < overall.value < overall.high


def test_rows_carry_what_they_were_measured_on():
    mine = predictions(source="cifar100", train_size=50, seeds=(7, 8, 9), trials=3, query_time_s=(9.0, 18.0))
    row = select(result_rows(mine, EXAM, [TAU], rounds=0), trial=2, query_batches=200)[0]
    assert (row.source, row.train_size, row.seed, row.snapshots, row.query_time_s) == ("cifar100", 50, 9, 2, 18.0)
    assert (row.flavour, row.target, row.num_test, row.commit) == ("functional", "cifar10", 60, "abc")


def test_failed_candidates_are_left_out_and_counted_at_their_budget_alone():
    mine = predictions()
    mine.values[1, 0, :5] = np.nan
    rows = result_rows(mine, EXAM, [TAU], rounds=20)
    assert {(row.query_batches, row.num_test, row.num_failed) for row in rows} == {(100, 55, 5), (200, 60, 0)}
    expected = kendalltau(mine.values[0, 0, 5:], TRUTH[5:]).statistic
    assert select(rows, trial=0, query_batches=100)[0].value == pytest.approx(expected)


def test_the_best_candidate_is_not_found_by_who_could_not_score_it():
    mine, names = predictions(noise=(0.0,)), ("recall_top1_in_top-3", "coverage_top-3_in_top-3")
    mine.values[1, 0, TRUTH.argmax()] = np.nan
    rows = result_rows(mine, EXAM, [METRICS[name] for name in names], rounds=0)
    found = [[select(rows, metric=name, trial=trial)[0].value for trial in (0, 1, 2)] for name in names]
    assert found == [[1.0, 0.0, 1.0], [1.0, pytest.approx(2 / 3), 1.0]]
    assert {(row.num_test, row.num_failed) for row in rows} == {(59, 1)}


def test_who_ties_with_the_worst_score_is_still_found_before_who_has_none():
    mine = predictions(noise=(0.0,), trials=1)
    mine.values[:] = 0.5
    mine.values[0, 0, TRUTH.argmax()] = np.nan
    rows = result_rows(mine, EXAM, [METRICS["recall_top1_in_top-3"], METRICS["coverage_top-3_in_top-3"]], rounds=0)
    assert [row.value for row in rows if row.trial is None] == pytest.approx([0.0, 2 / 3 * 3 / 59])


def test_no_top_k_is_filled_up_with_candidates_without_a_score():
    mine = predictions(noise=(0.0,), trials=1)
    mine.values[:, :, 5:] = np.nan
    found = {row.metric: row.value for row in result_rows(mine, EXAM, rounds=0) if row.trial is None}
    defined = {name for name, value in found.items() if value is not None}
    assert defined == {metric.name for metric in metrics_for(5)}


def test_undefined_figures_are_none_with_a_reason():
    constant = predictions()
    constant.values[:] = 0.5
    failed = predictions()
    failed.values[:] = np.nan
    for mine in (constant, failed):
        rows = result_rows(mine, EXAM, rounds=10)
        tau = select(rows, metric="kendall_tau", trial=None)[0]
        assert (tau.value, tau.low) == (None, None)
        assert "undefined" in tau.note


def test_metrics_need_more_candidates_than_they_pick():
    assert {metric.name for metric in METRICS.values()} - {metric.name for metric in metrics_for(20)} == {
        "recall_top1_in_top-20",
        "coverage_top-3_in_top-20",
        "coverage_top-5_in_top-20",
        "coverage_top-10_in_top-20",
    }
    assert metrics_for(2) == (TAU, RHO)


def test_a_resampled_rho_is_scipys():
    scores, labels = np.random.default_rng(1).integers(0, 6, (2, 20)).astype(float)
    drawn = np.random.default_rng([3, 0]).integers(20, size=(30, 20))
    expected = np.std([spearmanr(scores[row], labels[row]).statistic for row in drawn], ddof=1)
    assert interval(scores, labels, RHO, rounds=30, seed=3).standard_error == pytest.approx(expected)


def test_a_clear_difference_is_named_and_a_small_one_is_none():
    good, same, bad = predictions("good"), predictions("same", seed=1), predictions("bad", noise=(3.0, 3.0))
    found = differences([good, same, bad], good, EXAM, rounds=200)
    assert {(d.method, d.query_batches): d.verdict for d in found} == {("same", 200): "none", ("bad", 200): "worse"}
    assert differences([good], bad, EXAM, rounds=200)[0].verdict == "better"


def test_a_method_is_compared_at_its_largest_budget_that_is_not_above():
    static = predictions("params", noise=(0.2,), trials=1, query_batches=(0,), snapshots=(0,))
    found = differences([static], predictions(), EXAM, rounds=20)
    assert [(d.query_batches, d.against_batches) for d in found] == [(0, 200)]
    assert differences([predictions()], static, EXAM, rounds=20) == []


def test_a_difference_is_measured_on_what_both_could_score():
    partial = predictions("partial")
    partial.values[:, :, 40:] = np.nan
    assert {d.num_test for d in differences([partial], predictions(), EXAM, rounds=20)} == {40}


def test_aggregates_do_not_depend_on_the_order_of_rows_and_count_undefined_trials():
    rows = result_rows(predictions(), EXAM, [TAU], rounds=0)
    rows[0] = replace(rows[0], value=None)
    first = next(found for found in aggregate(reversed(rows)) if found.row.query_batches == 100)
    assert (first.num_trials, first.num_undefined) == (2, 1)
    assert aggregate([rows[0]])[0].mean is None


def test_arrays_that_do_not_belong_together_are_refused():
    with pytest.raises(EvaluationError, match=r"shape \(3, 2, 60\); 2 trials, 2 budgets and 60 test candidates"):
        result_rows(predictions(seeds=(0, 1)), EXAM)
    with pytest.raises(EvaluationError, match="1 snapshots; give 2"):
        result_rows(predictions(snapshots=(1,)), EXAM)
    with pytest.raises(EvaluationError, match="not ascending"):
        differences([], predictions(query_batches=(200, 100)), EXAM)
