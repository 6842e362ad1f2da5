"""Out-of-fold predictions are put where they belong, and what does not fit together is refused."""

import numpy as np
import pytest

from nap2.errors import EvaluationError
from nap2.evaluation.judging.exam import Exam, Predictions
from nap2.evaluation.judging.metrics import kendall_tau
from nap2.evaluation.judging.pooling import pooled
from nap2.evaluation.records.protocols import result_rows

ARCHS = [f"a{i}" for i in range(6)]


def part(values, method="nap2", trials=(0, 1), init_time_s=2.0):
    return Predictions(
        method=method,
        values=np.asarray(values, dtype=float),
        query_batches=(5,),
        snapshots=(1,),
        seeds=tuple(10 + trial for trial in trials),
        trials=trials,
        source="digits",
        train_size=3,
        init_time_s=init_time_s,
    )


def test_each_prediction_lands_at_its_candidate_and_trial():
    first = (["a4", "a0", "a2"], part([[[4, 0, 2]], [[40, 0, 20]]]))
    second = (["a1", "a3", "a5"], part([[[1, 3, 5]], [[10, 30, 50]]], init_time_s=4.0))
    joined = pooled([first, second], ARCHS)
    np.testing.assert_array_equal(joined.values, [[[0, 1, 2, 3, 4, 5]], [[0, 10, 20, 30, 40, 50]]])
    assert (joined.trials, joined.seeds, joined.init_time_s) == ((0, 1), (10, 11), 3.0)
    assert "out-of-fold predictions of 2 fits" in joined.note


def test_folds_drawn_anew_in_every_trial_are_joined_by_trial():
    parts = [
        (["a0", "a1", "a2"], part([[[0, 1, 2]]], trials=(0,))),
        (["a3", "a4", "a5"], part([[[3, 4, 5]]], trials=(0,))),
        (["a5", "a0", "a1"], part([[[50, 0, 10]]], trials=(1,))),
        (["a2", "a3", "a4"], part([[[20, 30, 40]]], trials=(1,))),
    ]
    joined = pooled(parts, ARCHS)
    np.testing.assert_array_equal(joined.values, [[[0, 1, 2, 3, 4, 5]], [[0, 10, 20, 30, 40, 50]]])


def test_tau_is_over_all_candidates_and_its_rows_name_the_protocol():
    truth = np.array([0.1, 0.6, 0.3, 0.2, 0.5, 0.4])
    halves = [(ARCHS[:3], part([[[1, 2, 3]], [[3, 2, 1]]])), (ARCHS[3:], part([[[9, 8, 7]], [[0, 1, 2]]]))]
    exam = Exam(space="s", target="digits", truth=truth, flavour="functional", protocol="2-fold", label="measured")
    rows = result_rows(pooled(halves, ARCHS), exam, rounds=0)
    taus = [row.value for row in rows if row.metric == "kendall_tau" and row.trial is not None]
    assert taus == [kendall_tau([1, 2, 3, 9, 8, 7], truth), kendall_tau([3, 2, 1, 0, 1, 2], truth)]
    assert {(row.protocol, row.num_test) for row in rows if row.metric == "kendall_tau"} == {("2-fold", 6)}


def test_a_fixed_test_set_is_left_as_it_is():
    alone = part([[range(6)], [range(6)]])
    assert pooled([(ARCHS, alone)], ARCHS) is alone


def test_what_does_not_belong_together_is_refused():
    three = part([[[1, 2, 3]], [[1, 2, 3]]])
    with pytest.raises(EvaluationError, match="tested twice in trial 0 of nap2"):
        pooled([(ARCHS[:3], three), (ARCHS[2:5], three)], ARCHS)
    with pytest.raises(EvaluationError, match="Folds of one method"):
        pooled([(ARCHS[:3], three), (ARCHS[3:], part([[[1, 2, 3]], [[1, 2, 3]]], method="other"))], ARCHS)
