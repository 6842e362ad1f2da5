"""The early curve as numbers: against a plain computation, cut at the budget, with NaN where it does not tell."""

import numpy as np
import pytest

from nap2.baselines.learning_curve.summary import CURVE_NUMBERS, summarise
from nap2.snapshots.curve import Curve

LOSSES = np.linspace(2.3, 1.1, 40) + 0.01 * np.sin(np.arange(40))


def test_the_numbers_are_those_of_the_curve_within_the_budget() -> None:
    curve = Curve(train_loss=LOSSES.tolist(), snapshot_accuracy=[0.3, 0.5])
    found = dict(zip(CURVE_NUMBERS, summarise(curve, 20, every=20), strict=True))
    first, last = LOSSES[:10].mean(), LOSSES[10:20].mean()
    assert found["mean_loss"] == pytest.approx(LOSSES[:20].mean())
    assert (found["first_loss"], found["last_loss"]) == pytest.approx((first, last))
    assert found["fall"] == pytest.approx(1 - last / first)
    assert found["noise"] == pytest.approx(LOSSES[10:20].std())
    assert found["accuracy"] == 0.3
    later = Curve(train_loss=[*LOSSES[:20], *np.full(20, np.nan)], snapshot_accuracy=[0.3, 0.9])
    np.testing.assert_array_equal(summarise(later, 20, every=20), summarise(curve, 20, every=20))


def test_what_the_curve_does_not_tell_is_missing() -> None:
    assert np.isnan(summarise(Curve(train_loss=LOSSES.tolist()), 40, every=20)[-1])
    short = summarise(Curve(train_loss=[1.0] * 5, snapshot_accuracy=[0.5]), 20, every=20)
    assert np.isnan(short[:-1]).all()
    broken = [*LOSSES[:39], np.nan]
    assert np.isnan(summarise(Curve(train_loss=broken, snapshot_accuracy=[0.1]), 40, every=40)[0])
