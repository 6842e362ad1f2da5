"""Ratios of statistics between two stores: planted factors are found, and the loop over a flat map agrees."""

import subprocess
import sys
from dataclasses import replace
from statistics import median

import numpy as np
import pytest
import torch
from fakes_predictor import random_trajectory

from nap2.errors import EvaluationError
from nap2.evaluation.shift import ratios, shift, shift_table
from nap2.schema import SCALAR_STATISTICS
from nap2.snapshots.curve import Curve
from nap2.snapshots.layout import num_entries, num_scalar_places
from nap2.snapshots.manifest import Candidate, Setting
from nap2.snapshots.store import SnapshotStore

UNITS, TEN = (16, 32, 128, 10), {"num_classes": 10}


def trajectory(place, num_snapshots=1, every=10):
    return random_trajectory(num_snapshots, every, seed=place, units=UNITS)


def store(root, archs, num_snapshots=1, scale=(1.0, 1.0), optimizer="adamw", every=10, skeleton=TEN):
    own = SnapshotStore.create(root, Setting("nasbench201", skeleton, "digits", {"name": optimizer}, every))
    for place, arch in enumerate(archs):
        taken = trajectory(place, num_snapshots, every)
        scaled = replace(taken, values=taken.values * torch.tensor(scale)[:, None])
        with own.claim(Candidate(own.setting, arch, 4), num_snapshots) as writer:
            writer.finish(scaled, Curve([2.5], [0.5] * num_snapshots, [1.5] * num_snapshots, [0.25], None))
    return own


def test_a_planted_factor_is_found_in_every_statistic_of_its_modality(tmp_path):
    first = store(tmp_path / "sgd", ["a", "b", "c"], optimizer="sgd")
    second = store(tmp_path / "adamw", ["a", "b", "c"], scale=(1.0, -4.0))
    found = shift(first, second)
    assert found.ratios.shape == (3, 2, 11)
    assert (found.ratios[:, 0] == 1).all()
    assert (found.ratios[:, 1] == 4).all()
    assert found.query_batches == 10


def test_it_is_what_a_loop_over_the_flat_maps_finds(tmp_path):
    first, second = store(tmp_path / "sgd", ["a", "b"], optimizer="sgd"), store(tmp_path / "adamw", ["x", "a"])
    mine, theirs = trajectory(0, 1).values[0], trajectory(1, 1).values[0]  # of "a" in each
    expected = []
    for modality in range(2):
        for statistic in range(len(SCALAR_STATISTICS)):
            start, each = 0, []
            for units in UNITS:
                place = start + statistic * num_scalar_places(units)
                each.append(abs(float(theirs[modality][place])) / abs(float(mine[modality][place])))
                start += num_entries([units])
            expected.append(median(each))
    np.testing.assert_allclose(shift(first, second).ratios.reshape(-1), expected, rtol=1e-12)


def test_layers_without_a_value_do_not_count():
    first, second = np.array([[2.0, 0.0], [0.0, 0.0], [1.0, 3.0]]), np.array([[4.0, 1.0], [5.0, 0.0], [-4.0, 0.0]])
    np.testing.assert_array_equal(ratios(first, second), [3.0, np.nan])


def test_the_last_snapshot_that_all_have_is_looked_at(tmp_path):
    first, second = store(tmp_path / "sgd", ["a"], 3, optimizer="sgd"), store(tmp_path / "adamw", ["a"], 2, (1.0, 2.0))
    found = shift(first, second)
    assert found.query_batches == 20
    assert (found.ratios[:, 1] == 2).all()


def test_what_cannot_be_compared_is_refused(tmp_path):
    first = store(tmp_path / "sgd", ["a"], optimizer="sgd")
    with pytest.raises(EvaluationError, match="no architecture in common; train the same list in both"):
        shift(first, store(tmp_path / "other", ["b"]))
    with pytest.raises(EvaluationError, match=r"cannot be compared .every: 10 ≠ 20.; name stores of one interval"):
        shift(first, store(tmp_path / "slow", ["a"], every=20))
    with pytest.raises(EvaluationError, match=r"cannot be compared .skeleton.cells_per_stage: None ≠ 1.; name stores"):
        shift(first, store(tmp_path / "small", ["a"], skeleton={"num_classes": 100, "cells_per_stage": 1}))


def test_a_store_is_listed_once_however_many_candidates_it_holds(tmp_path, monkeypatch):
    """A listing of 15,625 candidates for each of them would take minutes."""
    first, second = (store(tmp_path / name, ["a", "b", "c"], optimizer=name) for name in ("sgd", "adamw"))
    listed, complete = [], SnapshotStore.complete
    monkeypatch.setattr(SnapshotStore, "complete", lambda self: listed.append(self.root.name) or complete(self))
    shift(first, second)
    assert sorted(listed) == ["adamw", "sgd"]


def test_the_table_has_a_line_per_statistic_and_a_dash_where_nothing_is_defined(tmp_path):
    first, second = (
        store(tmp_path / "sgd", ["a", "b"], optimizer="sgd"),
        store(tmp_path / "adamw", ["a", "b"], scale=(1.0, 0.0)),
    )
    table = shift_table(shift(first, second), "sgd", "adamw")
    assert [row[0] for row in table.rows] == list(SCALAR_STATISTICS)
    assert {row[1:] for row in table.rows} == {("1.00 [1.00, 1.00]", "–")}
    assert table.notes[0].startswith("After 10 mini-batches, over 2 candidates")


def test_the_command_prints_it_or_one_line(tmp_path):
    store(tmp_path / "sgd", ["a"], optimizer="sgd"), store(tmp_path / "adamw", ["a"], scale=(1.0, 3.0))
    command = [sys.executable, "-m", "nap2.evaluation.shift", str(tmp_path / "sgd")]
    written = tmp_path / "shift.md"
    asked = [*command, str(tmp_path / "adamw"), "--markdown", str(written)]
    done = subprocess.run(asked, capture_output=True, text=True, check=False)
    assert done.stdout.count("3.00 [3.00, 3.00]") == len(SCALAR_STATISTICS)
    assert written.read_text().count("| 3.00 [3.00, 3.00] |") == len(SCALAR_STATISTICS)
    refused = subprocess.run([*command, str(tmp_path / "none")], capture_output=True, text=True, check=False)
    assert (refused.returncode, refused.stderr.count("\n")) == (1, 1)
    assert refused.stderr.startswith("error: No snapshot store at ")
