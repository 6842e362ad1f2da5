from itertools import combinations, pairwise, permutations
from math import sqrt

import numpy as np
import pytest

from nap2.errors import EvaluationError
from nap2.evaluation.judging.metrics import METRICS, kendall_tau, spearman_rho, top_n_coverage


def tau_by_pairs(first, second):
    concordant = discordant = ties_first = ties_second = 0
    for i, j in combinations(range(len(first)), 2):
        product = np.sign(first[i] - first[j]) * np.sign(second[i] - second[j])
        concordant += product > 0
        discordant += product < 0
        ties_first += first[i] == first[j]
        ties_second += second[i] == second[j]
    pairs = len(first) * (len(first) - 1) / 2
    return (concordant - discordant) / sqrt((pairs - ties_first) * (pairs - ties_second))


def test_kendall_tau_counts_pairs_with_ties():
    random = np.random.default_rng(0)
    for _ in range(20):
        first, second = random.integers(0, 8, 30).astype(float), random.integers(0, 8, 30).astype(float)
        assert kendall_tau(first, second) == pytest.approx(tau_by_pairs(first, second), abs=1e-12)


def test_spearman_rho_is_pearson_of_average_ranks():
    random = np.random.default_rng(1)
    first, second = random.integers(0, 9, 40).astype(float), random.normal(size=40)
    ranks = [np.array([(x < v).sum() + ((x == v).sum() + 1) / 2 for v in x]) for x in (first, second)]
    assert spearman_rho(first, second) == pytest.approx(np.corrcoef(*ranks)[0, 1], abs=1e-12)


@pytest.mark.parametrize("metric", [kendall_tau, spearman_rho])
def test_a_constant_ranking_is_undefined_and_not_zero(metric):
    assert np.isnan(metric(np.ones(5), np.arange(5.0)))
    assert np.isnan(metric(np.arange(5.0), np.full(5, 0.1)))


def test_coverage_counts_shared_best_candidates():
    truth = np.array([9.0, 8, 7, 6, 5, 4, 3, 2])
    predicted = np.array([9.0, 1, 8, 2, 7, 6, 5, 4])
    assert top_n_coverage(predicted, truth, 3, 3) == pytest.approx(2 / 3)
    assert top_n_coverage(predicted, truth, 3, 8) == 1.0
    assert top_n_coverage(predicted, truth, 1, 1) == 1.0
    assert top_n_coverage(-truth, truth, 1, 3) == 0.0


def test_coverage_under_ties_is_the_mean_over_all_ways_to_break_them():
    truth, predicted = np.array([3.0, 3, 2, 1]), np.array([1.0, 0, 1, 0])
    outcomes = []
    for true_order, predicted_order in [(a, b) for a in permutations(range(4)) for b in permutations(range(4))]:
        if all(truth[a] >= truth[b] for a, b in pairwise(true_order)) and all(
            predicted[a] >= predicted[b] for a, b in pairwise(predicted_order)
        ):
            outcomes.append(true_order[0] in predicted_order[:1])
    assert top_n_coverage(predicted, truth, 1, 1) == pytest.approx(np.mean(outcomes))


def test_a_constant_prediction_covers_by_chance_whatever_the_order():
    truth = np.random.default_rng(2).normal(size=50)
    for metric in METRICS.values():
        if metric.name.startswith(("recall", "coverage")):
            assert metric.score(np.zeros(50), truth) == pytest.approx(metric.chance(50))


def test_no_metric_depends_on_the_order_of_the_candidates():
    random = np.random.default_rng(3)
    predicted, truth = random.integers(0, 12, 40).astype(float), random.integers(0, 12, 40).astype(float)
    order = random.permutation(40)
    for metric in METRICS.values():
        assert metric.score(predicted[order], truth[order]) == pytest.approx(metric.score(predicted, truth), abs=1e-12)


def test_every_metric_is_best_for_the_truth_itself():
    truth = np.random.default_rng(4).normal(size=60)
    assert all(metric.score(truth, truth) == pytest.approx(1.0) for metric in METRICS.values())


def test_missing_predictions_are_refused_and_counted():
    with pytest.raises(EvaluationError, match="2 of 4 predictions are not finite"):
        kendall_tau([1.0, np.nan, np.inf, 2.0], [1.0, 2, 3, 4])
    with pytest.raises(EvaluationError, match=r"at least 2 candidates; there .*: test more"):
        spearman_rho([1.0], [1.0])
    with pytest.raises(EvaluationError, match="not two arrays"):
        kendall_tau([1.0, 2.0], [1.0, 2.0, 3.0])
    with pytest.raises(EvaluationError, match="needs 5 test candidates; there are 4"):
        top_n_coverage([1.0, 2, 3, 4], [1.0, 2, 3, 4], 3, 5)
