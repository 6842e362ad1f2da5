"""Votes and fusions over pools: hand-counted, indifferent to units, honest about what is missing."""

import math

import numpy as np
import pytest
from scipy.stats import kendalltau

from nap2.baselines import POOL_SCORES, PROXIES, pool_score
from nap2.baselines.zero_cost.pool import ROWS_AT_ONCE, copeland, libra_members, log_ranks, shared_information
from nap2.errors import EvaluationError

NAN = float("nan")


def columns(**values):
    return {name: np.array(column, dtype=float) for name, column in values.items()}


def test_copeland_counts_duels_won_minus_lost():
    scores = columns(synflow=[3, 2, 1, 0], l2_norm=[2, 3, 1, 0], wrcor=[3, 1, 2, 0])
    # 0 beats 1 (two votes to one), 2 and 3; 1 beats 2 and 3; 2 beats 3.
    assert pool_score("spw", scores).tolist() == pytest.approx([1.0, 1 / 3, -1 / 3, -1.0])


def test_votes_of_a_cycle_are_a_tie():
    assert copeland(columns(a=[3, 2, 1], b=[1, 3, 2], c=[2, 1, 3])).tolist() == [0.0, 0.0, 0.0]


def test_votes_are_counted_as_by_a_loop_over_pairs():
    rng = np.random.default_rng(0)
    scores = columns(**{name: rng.normal(size=12) for name in ("synflow", "jacob_cov", "wrcor")})
    scores["wrcor"][[2, 5]] = NAN
    expected = []
    for i in range(12):
        duels = [sum(np.sign(c[i] - c[j]) for c in scores.values() if np.isfinite(c[i] - c[j])) for j in range(12)]
        expected.append(sum(np.sign(duels)) / 11)
    assert pool_score("sjw", scores).tolist() == pytest.approx(expected)


def test_votes_of_a_large_pool_are_counted_in_parts():
    order = np.random.default_rng(2).permutation(2 * ROWS_AT_ONCE + 3)
    scores = copeland({"params": order, "l2_norm": order, "wrcor": -order})
    last = order.size - 1
    np.testing.assert_allclose(scores, (2 * order - last) / last, rtol=1e-12)


@pytest.mark.parametrize("name", ["spw", "sjw", "az_nas", "te_nas_ranks"])
def test_only_the_order_of_each_member_counts(name):
    rng = np.random.default_rng(1)
    scores = {member: rng.normal(size=20) for member in POOL_SCORES[name].members}
    stretched = {member: np.exp(3 * column) + 7 for member, column in scores.items()}
    np.testing.assert_allclose(pool_score(name, stretched), pool_score(name, scores), rtol=1e-12)
    order = rng.permutation(20)
    shuffled = {member: column[order] for member, column in scores.items()}
    np.testing.assert_allclose(pool_score(name, shuffled), pool_score(name, scores)[order], rtol=1e-12)


def test_az_nas_sums_logarithms_of_rank_shares():
    scores = columns(
        az_expressivity=[1, 2, 3, 4], az_progressivity=[4, 3, 2, 1], az_trainability=[1, 1, 1, 1], flops=[1, 2, 3, 4]
    )
    expected = [2 * math.log(k / 4) + math.log((5 - k) / 4) + math.log(2.5 / 4) for k in (1, 2, 3, 4)]
    assert pool_score("az_nas", scores).tolist() == pytest.approx(expected)


def test_a_small_condition_number_is_good():
    better = pool_score("te_nas_ranks", columns(te_nas=[10, 1000], te_nas_regions=[5, 5]))
    assert better[0] > better[1]
    assert not PROXIES["te_nas"].higher_is_better


def test_what_is_missing_stays_missing_in_sums_and_abstains_in_votes():
    assert np.isnan(log_ranks(columns(a=[1, NAN, 3], b=[1, 2, 3]))).tolist() == [False, True, False]
    voted = copeland(columns(a=[1, NAN, 3, NAN], b=[1, 2, 3, NAN]))
    assert np.isnan(voted).tolist() == [False, False, False, True]
    assert voted[:3].tolist() == [-1.0, 0.0, 1.0]
    assert np.isnan(copeland(columns(a=[np.inf, 1]))).tolist() == [True, False]


def test_shared_information_is_the_entropy_of_the_bins_for_equal_scores_and_small_for_others():
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, 5000))
    assert shared_information(a, np.exp(a)) == pytest.approx(math.log(5))
    assert shared_information(a, -a) == pytest.approx(math.log(5))
    assert shared_information(a, b) < 0.01


def sample_pool():
    rng = np.random.default_rng(0)
    truth, size = rng.normal(size=(2, 300))
    accuracy = truth + 0.5 * size
    scores = {
        "naswot": accuracy + 0.3 * rng.normal(size=300),
        "swap": accuracy + 0.35 * rng.normal(size=300) * 1.0,
        "zen": truth + 0.2 * rng.normal(size=300),
        "grad_norm": -accuracy + 0.8 * rng.normal(size=300),
        "plain": rng.normal(size=300),
        "params": size,
    }
    known = np.where(np.arange(300) < 100, accuracy, NAN)
    return scores, known, accuracy


def test_libra_picks_the_best_then_the_least_redundant_and_never_noise():
    scores, known, accuracy = sample_pool()
    members = libra_members(scores, known)
    assert members[0] == "naswot"
    assert "plain" not in members
    fused = pool_score("libra", scores, known)
    held_out = slice(100, None)
    assert kendalltau(fused[held_out], accuracy[held_out]).statistic > 0.55


def test_libra_sees_no_accuracy_outside_the_sample():
    scores, known, _ = sample_pool()
    moved = dict(scores, naswot=np.where(np.arange(300) < 100, scores["naswot"], -scores["naswot"]))
    assert libra_members(moved, known) == libra_members(scores, known)


def test_what_cannot_be_combined_is_refused():
    scores, _, _ = sample_pool()
    with pytest.raises(EvaluationError, match="spw combines synflow, l2_norm, wrcor; no scores given for wrcor"):
        pool_score("spw", columns(synflow=[1], l2_norm=[1]))
    with pytest.raises(EvaluationError, match="libra is fitted to a sample of accuracies"):
        pool_score("libra", scores)
    with pytest.raises(EvaluationError, match="fewer than 3 networks"):
        pool_score("libra", scores, np.full(300, NAN))
