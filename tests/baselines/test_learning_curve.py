import numpy as np
import pytest

from nap2.baselines.learning_curve import LEARNING_CURVES, observe, rank_curves, score_curve
from nap2.baselines.learning_curve.lc_pfn import expect
from nap2.baselines.learning_curve.lce import extrapolate
from nap2.baselines.undefined import UndefinedScoreError
from nap2.snapshots.curve import Curve

LOSSES = [2.3 - 0.01 * step for step in range(120)]
CURVE = Curve(train_loss=LOSSES, snapshot_accuracy=[0.1, 0.2, 0.35, 0.4, 0.5, 0.6])
RUN = {"every": 20, "batches_per_epoch": 30, "epochs": 10}


def values(curve=CURVE, query_batches=100, **changes):
    return {name: score.value for name, score in score_curve(curve, query_batches, **{**RUN, **changes}).items()}


def test_each_score_is_what_its_definition_says():
    assert values() == {
        "sotl": pytest.approx(sum(LOSSES[:100])),
        "sotl_e": pytest.approx(sum(LOSSES[70:100])),
        "last_losses": pytest.approx(sum(LOSSES[90:100]) / 10),
        "early_stopping": 0.5,
        "lc_pfn": expect(np.array([0.1, 0.2, 0.35, 0.4, 0.5]), 15.0),
        "lce": extrapolate(np.array([0.1, 0.2, 0.35, 0.4, 0.5]), 15.0),  # 300 mini-batches in steps of 20
    }


def test_before_the_first_epoch_ends_sotl_e_is_sotl():
    found = values(batches_per_epoch=196)
    assert found["sotl_e"] == found["sotl"]


def test_nothing_after_the_budget_is_seen():
    longer = Curve(train_loss=[*LOSSES[:100], *[99.0] * 50], snapshot_accuracy=[*CURVE.snapshot_accuracy[:5], 0.0, 0.0])
    assert values(longer) == values()
    assert values(query_batches=119)["early_stopping"] == 0.5


def test_a_faster_learner_is_ranked_first_by_every_score():
    fast = Curve(train_loss=[loss / 2 for loss in LOSSES], snapshot_accuracy=[0.9] * 6)
    for name in LEARNING_CURVES:
        slow_value, fast_value = rank_curves(name, [CURVE, fast], [100], **RUN)[0]
        assert fast_value > slow_value


def test_budgets_and_curves_are_the_axes_of_the_ranking():
    table = rank_curves("sotl", [CURVE, Curve(LOSSES[:50])], [40, 100], **RUN)
    assert table.shape == (2, 2)
    assert table[0, 0] == table[0, 1] == pytest.approx(-sum(LOSSES[:40]))
    assert np.isnan(table[1, 1])


def test_a_score_without_a_value_says_why_and_is_no_number():
    diverged = Curve(train_loss=[*LOSSES[:36], float("nan"), *LOSSES[37:]], snapshot_accuracy=CURVE.snapshot_accuracy)
    assert score_curve(diverged, 100, **RUN)["sotl"].failure == "the loss is not finite at mini-batch 37"
    assert values(diverged, 36)["sotl"] is not None
    short = score_curve(Curve(train_loss=LOSSES[:80]), 100, **RUN)
    assert {score.failure for score in short.values()} == {"the curve has 80 of 100 mini-batches"}
    assert {score.value for score in short.values()} == {None}
    early = score_curve(CURVE, 8, **RUN)
    assert early["early_stopping"].failure == "no validation accuracy was measured within the budget"
    assert early["last_losses"].failure == "8 mini-batches are fewer than the 10 to average"
    assert early["lce"].failure == "0 validation accuracies are fewer than the 5 to fit"
    assert early["lc_pfn"].failure == "0 validation accuracies are fewer than the 5 to read"
    unmeasured = Curve(train_loss=LOSSES, snapshot_accuracy=[float("nan")] * 6)
    assert score_curve(unmeasured, 100, **RUN)["early_stopping"].failure == "the last validation accuracy is not finite"


def test_a_budget_of_nothing_has_no_score():
    with pytest.raises(UndefinedScoreError, match="budget of 0"):
        observe(CURVE, 0, 20, 30, 10)


def test_every_score_declares_its_direction_and_source():
    for name, score in LEARNING_CURVES.items():
        assert (score.name, bool(score.definition), bool(score.source)) == (name, True, True)
    assert [name for name, score in LEARNING_CURVES.items() if score.higher_is_better] == [
        "early_stopping",
        "lce",
        "lc_pfn",
    ]
