import numpy as np
import pytest
from scipy.stats import kendalltau

from nap2.evaluation.judging import bootstrap
from nap2.evaluation.judging.metrics import METRICS, TAU


def noisy(truth, noise, trials, seed=0):
    return truth + noise * np.random.default_rng(seed).normal(size=(trials, truth.size))


TRUTH = np.random.default_rng(7).normal(size=60)


def test_resampled_tau_is_scipys_on_every_drawn_sample():
    random = np.random.default_rng(0)
    scores, labels = random.integers(0, 9, 25).astype(float), random.integers(0, 9, 25).astype(float)
    drawn = random.integers(25, size=(50, 25))
    counts = np.stack([np.bincount(row, minlength=25) for row in drawn]).astype(np.float32)
    expected = [kendalltau(scores[row], labels[row]).statistic for row in drawn]
    np.testing.assert_allclose(bootstrap._tau_by_counts(scores[None], labels, counts)[0], expected, atol=1e-6)


def test_both_ways_to_resample_tau_draw_the_same_candidates(monkeypatch):
    predicted = noisy(TRUTH, 1.0, 3)
    fast = bootstrap.interval(predicted, TRUTH, rounds=100)
    monkeypatch.setattr(bootstrap, "_LARGEST_PAIR_TABLE", 0)
    slow = bootstrap.interval(predicted, TRUTH, rounds=100)
    np.testing.assert_allclose([fast.low, fast.high, fast.value], [slow.low, slow.high, slow.value], atol=1e-6)


def test_the_interval_covers_the_population_value():
    random = np.random.default_rng(5)
    population = 2 / np.pi * np.arcsin(1 / np.sqrt(2))  # tau of x and x + noise of equal variance
    hits = 0
    for seed in range(60):
        truth = random.normal(size=80)
        found = bootstrap.interval(truth + random.normal(size=80), truth, rounds=300, seed=seed)
        hits += found.low <= population <= found.high
    assert hits >= 50  # 95 % of 60 are 57


def test_the_interval_narrows_with_more_candidates():
    widths = []
    for size in (30, 300):
        truth = np.random.default_rng(1).normal(size=size)
        found = bootstrap.interval(noisy(truth, 1.0, 1), truth, rounds=300)
        widths.append(found.high - found.low)
    assert widths[1] < widths[0] / 2


def test_the_same_seed_gives_the_same_interval_and_another_does_not():
    predicted = noisy(TRUTH, 1.0, 2)
    first = bootstrap.interval(predicted, TRUTH, rounds=100, seed=3)
    assert first == bootstrap.interval(predicted, TRUTH, rounds=100, seed=3)
    assert first != bootstrap.interval(predicted, TRUTH, rounds=100, seed=4)


def test_a_method_differs_from_itself_by_exactly_nothing():
    predicted = noisy(TRUTH, 1.0, 3)
    found = bootstrap.paired_difference(predicted, predicted, TRUTH, rounds=100)
    assert (found.value, found.low, found.high) == (0.0, 0.0, 0.0)
    assert not found.excludes_zero


def test_pairing_narrows_the_interval_of_a_difference():
    better = noisy(TRUTH, 0.5, 1)
    worse = better + 0.1 * np.random.default_rng(9).normal(size=better.shape)
    paired = bootstrap.paired_difference(better, worse, TRUTH)
    alone = bootstrap.interval(better, TRUTH)
    assert paired.high - paired.low < (alone.high - alone.low) / 2


def test_a_clear_difference_excludes_zero_and_changes_sign_when_swapped():
    good, bad = noisy(TRUTH, 0.2, 3), noisy(TRUTH, 3.0, 3, seed=1)
    found = bootstrap.paired_difference(good, bad, TRUTH)
    swapped = bootstrap.paired_difference(bad, good, TRUTH)
    assert found.excludes_zero
    assert found.value > 0
    assert swapped.value == pytest.approx(-found.value)
    assert swapped.low == pytest.approx(-found.high, abs=1e-6)


def test_where_an_interval_ends_near_zero_ten_times_the_rounds_decide_the_side(monkeypatch):
    truth = np.random.default_rng(3).normal(size=40)
    near = noisy(truth, 0.93, 1, seed=13), noisy(truth, 1.45, 1, seed=4), truth
    far = noisy(truth, 0.2, 1), noisy(truth, 3.0, 1, seed=1), truth
    found = [bootstrap.paired_difference(*asked, rounds=200) for asked in (near, far)]
    monkeypatch.setattr(bootstrap, "MORE", 1)
    assert found == [bootstrap.paired_difference(*near, rounds=2000), bootstrap.paired_difference(*far, rounds=200)]
    assert found[0] != bootstrap.paired_difference(*near, rounds=200)


def test_any_metric_has_an_interval():
    found = bootstrap.interval(noisy(TRUTH, 1.0, 2), TRUTH, METRICS["coverage_top-10_in_top-20"], rounds=50)
    assert 0 <= found.low <= found.value <= found.high <= 1


def test_an_undefined_figure_has_an_undefined_interval():
    found = bootstrap.interval(np.zeros(60), TRUTH, TAU, rounds=20)
    assert np.isnan([found.value, found.low, found.high]).all()


def test_a_score_that_tells_one_candidate_apart_has_no_interval():
    truth, marks = np.random.default_rng(2).normal(size=320), np.ones(320)
    marks[truth.argmin()] = 0.0  # a third of all rounds do not draw it, and are undefined
    alone, against = bootstrap.interval(marks, truth), bootstrap.paired_difference(marks, truth, truth)
    assert (alone.value > 0, against.value < 0) == (True, True)
    assert np.isnan([alone.low, alone.high, alone.standard_error, against.low, against.high]).all()
    assert not any(found.excludes_zero for found in (alone, against))


def test_an_interval_survives_a_few_undefined_rounds():
    truth, marks = np.random.default_rng(2).normal(size=320), np.ones(320)
    marks[truth.argsort()[:6]] = 0.0  # about one round in 400 draws none of them
    found = bootstrap.interval(marks, truth)
    assert found.low < found.value < found.high
