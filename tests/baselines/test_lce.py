"""The parametric extrapolation, against curves whose end is known and against the published formulas."""

import numpy as np
import pytest
from scipy.special import expit, logit

from nap2.baselines.learning_curve import lce
from nap2.baselines.learning_curve.lce import MIN_POINTS, NUM_STATES, extrapolate, hill, log_log_line, mmf
from nap2.baselines.undefined import UndefinedScoreError

X = np.arange(1.0, 24.0)
NOISY = np.clip(0.9 / (1 + (6 / X) ** 0.9) + np.random.default_rng(0).normal(0, 0.02, X.size), 0, 1)


def test_the_shapes_are_the_published_families():
    np.testing.assert_allclose(log_log_line(np.log(X), logit(0.3), 0.2), np.log(0.04 * np.log(X) + np.exp(0.3)))
    log_power = 0.8 / (1 + (X / np.exp(1.5)) ** -0.7)
    hill_3 = 0.8 * X**0.7 / (np.exp(1.5) ** 0.7 + X**0.7)
    np.testing.assert_allclose(hill(np.log(X), logit(0.8), 0.7, 1.5), log_power)
    np.testing.assert_allclose(log_power, hill_3)
    kappa = np.exp(-1.5)
    np.testing.assert_allclose(
        mmf(np.log(X), logit(0.8), logit(0.1), 0.7, 1.5), 0.8 - (0.8 - 0.1) / (1 + (kappa * X) ** 0.7)
    )


@pytest.mark.parametrize(
    ("family", "known", "places"),
    [
        (log_log_line, (logit(0.2), 0.35), slice(0, 2)),
        (hill, (logit(0.93), 0.8, 1.8), slice(2, 5)),
        (mmf, (logit(0.9), logit(0.15), 1.1, 2.0), slice(5, 9)),
    ],
)
def test_a_noiseless_curve_of_a_family_is_continued_by_that_family(family, known, places):
    fitted = lce._fit(family(np.log(X), *known))[places]
    for x in (50.0, 392.0):
        assert family(np.log(x), *fitted) == pytest.approx(family(np.log(x), *known), abs=2e-4)


def test_what_two_of_the_shapes_can_draw_is_predicted_but_for_the_third():
    curve = hill(np.log(X), logit(0.93), 0.8, 1.8)
    line = log_log_line(np.log(392.0), *lce._fit(curve)[:2])
    assert extrapolate(curve, 392.0) == pytest.approx(
        0.75 * 0.93 * expit(0.8 * (np.log(392) - 1.8)) + 0.25 * line, abs=1e-2
    )


def test_the_prediction_is_the_mean_of_the_mixture_over_the_states_of_the_chain():
    states = lce._chain(lce._fit(NOISY), NOISY, lce.seed_from("lce", NOISY.tolist(), 392.0))
    slowly = 0.0
    for state in states:
        curves = log_log_line, hill, mmf
        parameters = state[:2], state[2:5], state[5:9]
        for weight, curve, known in zip(state[9:12], curves, parameters, strict=True):
            slowly += weight * curve(np.log(392.0), *known) / NUM_STATES
    assert extrapolate(NOISY, 392.0) == pytest.approx(slowly, rel=1e-12)


def test_the_chain_leaves_the_posterior_where_it_is(monkeypatch):
    """With the curve held fixed it samples the variance of the noise, whose posterior is known."""
    monkeypatch.setattr(lce, "NUM_STATES", 40_000)
    monkeypatch.setattr(lce, "STEP", 3e-4)
    error = np.random.default_rng(1).normal(0, 0.02, X.size)
    monkeypatch.setattr(lce, "_mixture", lambda state, ln_x: 0.1 * ln_x)
    states = lce._chain(np.zeros(9), 0.1 * np.log(X) + error, seed=2)
    total = np.square(error).sum()  # flat prior: inverse gamma of shape n / 2 - 1 and scale total / 2
    assert states[:, -1].mean() == pytest.approx(total / (X.size - 4), rel=0.05)
    moved = np.any(np.diff(states, axis=0) != 0, axis=1)
    assert 0.1 < moved.mean() < 0.9  # a refused proposal leaves no trace


def test_a_prediction_depends_on_the_curve_and_its_end_alone():
    first = extrapolate(NOISY, 392.0)
    extrapolate(NOISY[:7], 392.0)
    np.random.default_rng(0).normal(size=3)
    assert extrapolate(NOISY.copy(), 392.0) == first
    assert extrapolate(NOISY, 100.0) != first


def test_better_curves_of_one_shape_are_predicted_better():
    ends = [extrapolate(top * NOISY, 392.0) for top in (0.5, 0.7, 0.9, 1.0)]
    assert ends == sorted(ends)


@pytest.mark.parametrize("level", [0.0, 0.1, 1.0])
def test_a_constant_curve_stays_where_it_is(level):
    assert extrapolate(np.full(6, level), 392.0) == pytest.approx(level, abs=1e-6)


def test_a_falling_curve_is_not_promised_a_rise():
    assert 0.0 < extrapolate(np.linspace(0.5, 0.05, 10), 392.0) < 0.2


def test_too_few_points_and_a_gap_are_undefined():
    for count in range(MIN_POINTS):
        with pytest.raises(UndefinedScoreError, match=f"^{count} validation accuracies are fewer than the 5 to fit$"):
            extrapolate(NOISY[:count], 392.0)
    assert np.isfinite(extrapolate(NOISY[:MIN_POINTS], 392.0))
    gap = NOISY.copy()
    gap[3] = np.nan
    with pytest.raises(UndefinedScoreError, match=r"^the validation accuracy of snapshot 4 is not finite$"):
        extrapolate(gap, 392.0)
