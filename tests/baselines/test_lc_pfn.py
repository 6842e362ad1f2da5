"""The small LC-PFN: its prior by formula, its answers against the posterior that the same prior has by sampling."""

import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from safetensors import safe_open

from nap2.baselines.learning_curve import fit_lc_pfn, lc_pfn
from nap2.baselines.learning_curve.lc_pfn import MIN_POINTS, NUM_CURVES, WEIGHTS, LcPfn, expect, fitted
from nap2.baselines.learning_curve.lc_pfn_prior import NUM_PLACES, _propose, draw_curves
from nap2.baselines.undefined import UndefinedScoreError

CLEAN, NOISY = draw_curves(1500, np.random.default_rng(2026))


@pytest.fixture(scope="module")
def answers():
    """Probabilities `[A, T, bars]` of the accuracy at place 100 of curves that the network was not fitted to."""
    seen = torch.as_tensor(NOISY[:, : lc_pfn.MAX_POINTS], dtype=torch.float32)
    with torch.inference_mode():
        return fitted()(seen, torch.full_like(seen, float(NUM_PLACES)))


def test_a_curve_of_the_prior_is_the_weighted_sum_of_the_three_published_ones():
    middle = SimpleNamespace(
        uniform=lambda low, high, size: np.full(size, low + 0.3 * (high - low)),
        lognormal=lambda mean, deviation, size: np.full(size, math.exp(mean + 0.1 * deviation)),
    )
    (curve,) = _propose(1, middle)
    for x in (1, 7, 100):
        power = 0.375 - -0.24 * x ** -math.exp(0.2)
        inverse_log = 0.3 - -0.2 / math.log(x + 1)
        janoschek = 0.3 - (0.3 - 0.6) * math.exp(-math.exp(-1.9) * x ** math.exp(0.05))
        assert curve[x - 1] == pytest.approx(0.3 * (power + inverse_log + janoschek))


def test_curves_of_the_prior_rise_within_0_and_1_and_have_the_published_noise():
    assert CLEAN.shape == NOISY.shape == (1500, 100)
    assert CLEAN.min() >= 0
    assert CLEAN.max() <= 1
    assert (CLEAN[:, -1] > CLEAN[:, 0]).all()
    deviations = np.log((NOISY - CLEAN).std(1))
    assert (deviations.mean(), deviations.std()) == pytest.approx((-4.0, 1.0), abs=0.1)


def test_the_shipped_weights_are_those_that_the_definition_speaks_of():
    with safe_open(WEIGHTS, "pt") as file:
        assert file.metadata()["curves"] == str(NUM_CURVES)
    assert WEIGHTS.stat().st_size < 500_000


@pytest.mark.parametrize("points", [5, 10, 20])
def test_new_curves_end_where_it_says_more_nearly_than_where_they_stand(answers, points):
    said, last = fitted().mean(answers[:, points - 1]).numpy(), NOISY[:, points - 1]
    assert np.abs(said - NOISY[:, -1]).mean() < 0.95 * np.abs(last - NOISY[:, -1]).mean()


@pytest.mark.parametrize("points", [5, 10, 20])
@pytest.mark.parametrize("share", [0.5, 0.9])
def test_its_intervals_hold_about_as_many_ends_as_they_say(answers, points, share):
    below = np.cumsum(answers[:, points - 1].exp().numpy(), 1)
    borders = fitted().borders.numpy()
    reached = [np.interp(end, borders, [0.0, *row]) for end, row in zip(NOISY[:, -1], below, strict=True)]
    inside = np.abs(np.array(reached) - 0.5) < share / 2
    assert inside.mean() == pytest.approx(share, abs=0.1)


def test_it_is_nearer_to_the_posterior_mean_than_the_last_value_is(answers):
    """The posterior by brute force: many curves of the prior, each as likely as its distance makes the beginning."""
    draws, points, rows = np.random.default_rng(7), 8, slice(0, 300)
    curves, noise = draw_curves(12_000, draws)[0], draws.lognormal(-4.0, 1.0, 12_000)
    seen, known = curves[:, :points], NOISY[rows, :points]
    distance = np.square(seen).sum(1) + np.square(known).sum(1)[:, None] - 2 * known @ seen.T  # [A, curves]
    likelihood = -0.5 * distance / noise**2 - points * np.log(noise)
    weight = np.exp(likelihood - likelihood.max(1, keepdims=True))
    weight /= weight.sum(1, keepdims=True)
    trusted = 1 / np.square(weight).sum(1) > 50  # enough curves come near it
    exact = (weight @ curves[:, -1])[trusted]
    ours = np.abs(fitted().mean(answers[rows, points - 1]).numpy()[trusted] - exact).mean()
    last = np.abs(known[trusted, -1] - exact).mean()
    assert trusted.sum() > 30
    assert ours < min(0.04, 0.75 * last)


def test_an_answer_reads_neither_later_points_nor_other_curves(answers):
    for row, points in ((0, 5), (3, 12), (8, 23)):
        alone = expect(NOISY[row, :points], 100.0)
        assert alone == pytest.approx(fitted().mean(answers[row, points - 1]).item(), abs=1e-5)
        assert expect(NOISY[row, :points], 100.0) == alone


def test_trainings_longer_than_the_curves_of_the_prior_are_read_at_their_last_place():
    assert expect(NOISY[0, :9], 392.0) == expect(NOISY[0, :9], 100.0) != expect(NOISY[0, :9], 12.6)


@pytest.mark.parametrize("curve", [np.zeros(6), np.full(6, 0.1), np.ones(6), np.linspace(0.6, 0.1, 6)])
def test_flat_and_falling_curves_have_an_accuracy_too(curve):
    assert 0.0 < expect(curve, 100.0) < 1.0


def test_too_few_points_and_a_gap_are_undefined():
    for count in range(MIN_POINTS):
        with pytest.raises(UndefinedScoreError, match=f"^{count} validation accuracies are fewer than the 5 to read$"):
            expect(NOISY[0, :count], 100.0)
    gap = NOISY[0, :8].copy()
    gap[5] = np.inf
    with pytest.raises(UndefinedScoreError, match=r"^the validation accuracy of snapshot 6 is not finite$"):
        expect(gap, 100.0)


def test_the_surprise_is_the_density_of_what_comes_later():
    network = LcPfn()
    network.borders.copy_(fit_lc_pfn.borders(NOISY))
    curves = torch.as_tensor(NOISY[:3], dtype=torch.float32)
    always_last = SimpleNamespace(
        integers=lambda low, high, size: np.full(size, NUM_PLACES), uniform=lambda size: np.ones(size)
    )
    with torch.no_grad():
        found = fit_lc_pfn.surprise(network, curves, always_last)
        borders, total, count = network.borders.tolist(), 0.0, 0
        for curve in curves:
            for points in range(MIN_POINTS, lc_pfn.MAX_POINTS + 1):
                seen = curve[None, :points]
                bars = network(seen, torch.full_like(seen, 100.0))[0, -1]
                bar = next(i for i in range(100) if i == 99 or curve[-1] <= borders[i + 1])
                total -= bars[bar].item() - math.log(borders[bar + 1] - borders[bar])
                count += 1
    assert found.item() == pytest.approx(total / count, rel=1e-4)


@pytest.mark.slow
def test_a_short_fit_learns_and_can_be_repeated():
    curves = torch.as_tensor(NOISY[:200], dtype=torch.float32)
    first, again = (fit_lc_pfn.fit(12 * fit_lc_pfn.BATCH, seed=1) for _ in range(2))
    begun = LcPfn()
    begun.borders.copy_(first.borders)
    with torch.no_grad():
        after, before = (fit_lc_pfn.surprise(n, curves, np.random.default_rng(0)).item() for n in (first, begun))
    assert after < before - 0.05
    assert all(torch.equal(a, b) for a, b in zip(first.state_dict().values(), again.state_dict().values(), strict=True))
