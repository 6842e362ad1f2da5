"""A trajectory survives its file, can be shortened, and refuses what does not fit together."""

from dataclasses import replace

import pytest
import torch
from safetensors.torch import save_file

from nap2.errors import StoreError
from nap2.snapshots.layout import num_entries
from nap2.snapshots.trajectory import Trajectory

UNITS = [4, 120, 10]


def some_trajectory(num_snapshots=3, every=100):
    values = torch.randn(num_snapshots, 2, num_entries(UNITS), generator=torch.Generator().manual_seed(0))
    counts = torch.arange(num_snapshots * 10).view(num_snapshots, 2, 5)
    return Trajectory(values, torch.tensor(UNITS), every, counts, ("stem", "cells.0.conv", "head"))


def test_a_saved_trajectory_comes_back_whole(tmp_path):
    saved = replace(some_trajectory(every=7), num_layers=9, unread=0.1234567)
    saved.save(tmp_path / "run.safetensors")
    loaded = Trajectory.load(tmp_path / "run.safetensors")
    assert (loaded.every, loaded.layer_names) == (7, saved.layer_names)
    assert (loaded.num_layers, loaded.unread) == (9, 0.1234567)
    for name in ("values", "units", "counts"):
        assert torch.equal(getattr(loaded, name), getattr(saved, name)), name


def test_the_first_snapshots_are_a_trajectory_of_their_own(tmp_path):
    whole = some_trajectory()
    start = whole.first(2)
    assert len(start) == 2
    assert torch.equal(start.values, whole.values[:2])
    assert torch.equal(start.counts, whole.counts[:2])
    start.save(tmp_path / "start.safetensors")
    assert len(Trajectory.load(tmp_path / "start.safetensors")) == 2


@pytest.mark.parametrize("num_snapshots", [0, 4, -1])
def test_more_snapshots_than_there_are_is_refused(num_snapshots):
    with pytest.raises(StoreError, match=f"first {num_snapshots} snapshots of a trajectory that holds 3"):
        some_trajectory().first(num_snapshots)


def test_values_that_do_not_fit_the_units_are_refused():
    whole = some_trajectory()
    with pytest.raises(StoreError, match="A trajectory of these units holds float32"):
        Trajectory(whole.values[..., :-1], whole.units, 100, whole.counts, whole.layer_names)
    with pytest.raises(StoreError, match="float64"):
        Trajectory(whole.values.double(), whole.units, 100, whole.counts, whole.layer_names)
    with pytest.raises(StoreError, match="counts have shape"):
        Trajectory(whole.values, whole.units, 100, whole.counts[:1], whole.layer_names)


def test_a_missing_or_foreign_file_is_refused_by_name(tmp_path):
    with pytest.raises(StoreError, match=r"No trajectory at .*nowhere.*save one"):
        Trajectory.load(tmp_path / "nowhere.safetensors")
    save_file({"values": torch.zeros(1)}, str(tmp_path / "other.safetensors"))
    with pytest.raises(StoreError, match="no trajectory"):
        Trajectory.load(tmp_path / "other.safetensors")
    (tmp_path / "noise.safetensors").write_bytes(b"not a file of tensors")
    with pytest.raises(StoreError, match="cannot be read as a trajectory"):
        Trajectory.load(tmp_path / "noise.safetensors")


@pytest.mark.parametrize(
    "metadata", [{}, {"every": "7"}, {"every": "x", "layer_names": "[]"}, {"layer_names": "[", "every": "7"}]
)
def test_a_file_that_does_not_say_how_it_was_taken_is_refused(tmp_path, metadata):
    whole = some_trajectory()
    tensors = {"values": whole.values, "units": whole.units, "counts": whole.counts}
    save_file(tensors, str(tmp_path / "run.safetensors"), metadata={"format": "nap2-trajectory", **metadata})
    with pytest.raises(StoreError, match=r"run\.safetensors cannot be read as a trajectory"):
        Trajectory.load(tmp_path / "run.safetensors")


@pytest.mark.parametrize("units", [[], [4] * 66, [-3, 4], [[4], [4]]])
def test_a_file_of_no_possible_network_is_refused(tmp_path, units):
    path, flat = tmp_path / "run.safetensors", [u for u in torch.tensor(units).flatten().tolist() if u > 0]
    tensors = {
        "values": torch.zeros(1, 2, num_entries(flat)),
        "units": torch.tensor(units, dtype=torch.int64),
        "counts": torch.zeros(1, 2, 5, dtype=torch.int64),
    }
    metadata = {"format": "nap2-trajectory", "every": "7", "layer_names": "[]"}
    save_file(tensors, str(path), metadata=metadata)
    with pytest.raises(
        StoreError, match=r"run.safetensors cannot be read as a trajectory: .* 1 to 65 layers"
    ) as caught:
        Trajectory.load(path)
    assert "\n" not in str(caught.value)


def test_a_file_is_saved_in_a_new_folder_and_not_in_place_of_a_folder(tmp_path):
    some_trajectory().save(tmp_path / "new" / "run.safetensors")
    assert len(Trajectory.load(tmp_path / "new" / "run.safetensors")) == 3
    for place in (tmp_path / "new", tmp_path / "new" / "run.safetensors" / "deeper"):
        with pytest.raises(StoreError, match="cannot be saved as") as caught:
            some_trajectory().save(place)
        assert "\n" not in str(caught.value)


def test_a_truncated_file_is_refused(tmp_path):
    path = tmp_path / "run.safetensors"
    some_trajectory().save(path)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(StoreError, match="cannot be read as a trajectory"):
        Trajectory.load(path)
