"""What the early curves of the tested candidates say, at every budget of a config."""

from types import SimpleNamespace

import numpy as np
import pytest

from nap2.baselines.learning_curve import LEARNING_CURVES
from nap2.baselines.learning_curve.lc_pfn import expect
from nap2.baselines.learning_curve.lce import extrapolate
from nap2.snapshots.curve import Curve
from nap2.stages.command.compose import compose_config
from nap2.stages.exam.contenders import curve_predictions

ACCURACIES = [0.1, 0.2, 0.35, 0.4, 0.5, 0.55]


def contest(*overrides: str) -> SimpleNamespace:
    """As much of a contest as curves are asked for: two candidates, budgets of 1 and of 6 snapshots."""
    config = compose_config(["stage=evaluate", "experiment=nb201_cifar10", *overrides])[1]
    curves = [Curve(train_loss=[2.0] * 600, snapshot_accuracy=ACCURACIES) for _ in range(2)]
    return SimpleNamespace(
        config=config, curves=curves, snapshots=(1, 6), query_batches=(100, 600), query_seconds=(9.0, 54.0)
    )


def test_a_curve_is_read_at_the_end_of_the_recipe() -> None:
    found = {one.method: one for one in curve_predictions(contest())}
    assert list(found) == list(LEARNING_CURVES)
    for method, predict in (("lce", extrapolate), ("lc_pfn", expect)):
        end = predict(np.array(ACCURACIES), 200 * 196 / 100)  # epochs, mini-batches of each, one snapshot every 100
        np.testing.assert_array_equal(found[method].values, [[[np.nan, np.nan], [end, end]]])
        assert found[method].note == "needs 5 snapshots"
    assert found["early_stopping"].note == ""


def test_without_the_length_of_an_epoch_what_needs_it_is_left_out_in_one_line(
    capsys: pytest.CaptureFixture[str],
) -> None:
    found = curve_predictions(contest("dataset.num_train=null"))
    assert [one.method for one in found] == ["sotl", "last_losses", "early_stopping"]
    line = "left out: sotl_e, lce, lc_pfn; set dataset.num_train, the number of training images"
    assert capsys.readouterr().out.count(line) == 1
