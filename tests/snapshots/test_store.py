import subprocess
import sys
from pathlib import Path

import fakes_store as fakes
import pytest
import torch
import zarr

from nap2.errors import StoreError, StoreVersionError
from nap2.schema import ARRAYS
from nap2.snapshots.candidate_folder import STORED_ARRAYS
from nap2.snapshots.failures import clear_failure
from nap2.snapshots.store import SnapshotStore


@pytest.fixture
def store(tmp_path):
    return SnapshotStore.create(tmp_path / "store", fakes.setting())


def test_what_is_read_is_what_was_written(store):
    candidate = fakes.finish(store, seed=3, num_snapshots=5, final_accuracy=0.875)
    read = store.read(candidate.id)
    expected = fakes.trajectory(3, 5)
    assert read.candidate == candidate
    assert torch.equal(read.trajectory.values, expected.values)
    assert torch.equal(read.trajectory.units, expected.units)
    assert torch.equal(read.trajectory.counts, expected.counts)
    assert (read.trajectory.every, read.trajectory.layer_names) == (10, fakes.LAYERS)
    assert read.curve == fakes.curve(5, 0.875)
    assert (read.versions["zarr"], read.versions["device"]) == (zarr.__version__, "cpu")
    assert store.complete() == {candidate.id: 5}


def test_a_candidate_says_what_trained_it(store):
    with store.claim(fakes.candidate(), 2) as writer:
        writer.finish(fakes.trajectory(0, 2), fakes.curve(2), device="NVIDIA H100")
    assert store.read(fakes.candidate().id).versions["device"] == "NVIDIA H100"


def test_a_stranger_can_read_a_candidate_with_zarr_alone(store):
    candidate = fakes.finish(store, seed=3, num_snapshots=5)
    group = zarr.open_group(store.folder(candidate.id), mode="r")
    assert sorted(group.array_keys()) == sorted(STORED_ARRAYS)
    assert group.attrs["arch_str"] == candidate.arch_str
    for name in STORED_ARRAYS:
        assert group[name].attrs["unit"] == ARRAYS[name].unit
        assert group[name].metadata.dimension_names == ARRAYS[name].axes
    assert group["values"].chunks == (1, *group["values"].shape[1:])  # one snapshot can be read alone
    assert group["values"].shards == group["values"].shape
    assert (group["values"][2] == fakes.values(3, 5)[2]).all()


def test_a_curve_without_any_entry_is_stored(store):
    with store.claim(fakes.candidate(), 1) as writer:
        writer.finish(fakes.trajectory(0, 1), type(fakes.curve(1))([], [0.5], [1.0], []))
    assert store.read(fakes.candidate().id).curve.train_loss == []


def test_making_a_store_twice_opens_it(store):
    fakes.finish(store, seed=0, num_snapshots=1)
    assert SnapshotStore.create(store.root, fakes.setting()).complete() == store.complete()
    assert SnapshotStore.open(store.root).setting == fakes.setting()


@pytest.mark.parametrize("name", ["mine::yours", "日本 ü", "a#b?c=1", "file:", "x.zip"])
def test_a_store_lies_where_its_path_says(tmp_path, name):
    """And no part of it where zarr, given a text, would look for an address (`mine::yours`: in `mine`)."""
    (tmp_path / "mine").mkdir()
    store = SnapshotStore.create(tmp_path / name / "store", fakes.setting())
    candidate = fakes.finish(store, seed=0, num_snapshots=1)
    assert len(SnapshotStore.open(store.root).read(candidate.id).trajectory) == 1
    assert list((tmp_path / "mine").iterdir()) == []


def test_another_setting_is_refused_and_each_difference_named(store):
    other = fakes.setting(every=20, recipe={"name": "digits", "lr": 0.2})
    with pytest.raises(StoreError, match=r"every: 20 ≠ 10; recipe\.lr: 0\.2 ≠ 0\.1"):
        SnapshotStore.create(store.root, other)
    with (
        pytest.raises(StoreError, match=r"does not belong.*recipe\.lr"),
        store.claim(fakes.candidate(recipe={"lr": 0.2}), 1),
    ):
        pass


def test_another_space_is_named_first_for_some_messages_name_three_differences_alone():
    other = fakes.setting(space="nasbench101", every=20, skeleton={}, recipe={"name": "digits", "lr": 0.2})
    named = [line.partition(":")[0] for line in other.differences(fakes.setting())]
    assert named[:3] == ["space", "every", "recipe.lr"]


def test_a_folder_that_is_no_store_is_refused(tmp_path):
    with pytest.raises(StoreError, match=r"No snapshot store at .*stage=snapshot"):
        SnapshotStore.open(tmp_path)
    (tmp_path / "zarr.json").write_text('{"attributes": {"format": "else"}}')
    with pytest.raises(StoreError, match=r"not the metadata of a snapshot store .*paths\.store"):
        SnapshotStore.open(tmp_path)
    (tmp_path / "zarr.json").write_text("{")
    with pytest.raises(StoreError, match="not the metadata of a snapshot store"):
        SnapshotStore.create(tmp_path, fakes.setting())


@pytest.mark.parametrize(("version", "advice"), [("2", "update nap2"), ("0", "no migration")])
def test_a_store_of_another_schema_is_refused(store, version, advice):
    candidate = fakes.finish(store, seed=0, num_snapshots=1)
    for path in (store.folder(candidate.id) / "zarr.json", store.root / "zarr.json"):
        text = path.read_text()
        assert '"schema_version": 1' in text
        path.write_text(text.replace('"schema_version": 1', f'"schema_version": {version}'))
    with pytest.raises(StoreVersionError, match=f"Candidate .* schema version {version}.*{advice}"):
        store.read(candidate.id)
    with pytest.raises(StoreVersionError, match=f"The store .* schema version {version}.*{advice}"):
        SnapshotStore.open(store.root)


def test_the_longest_complete_one_wins_and_shorter_ones_disappear(store):
    for num_snapshots in (1, 4, 23):
        candidate = fakes.finish(store, seed=0, num_snapshots=num_snapshots)
        assert store.complete() == {candidate.id: num_snapshots}
        assert len(store.read(candidate.id).trajectory) == num_snapshots
        assert len(list(store.shelf.iterdir())) == 1


def test_what_is_complete_is_not_trained_again(store):
    fakes.finish(store, seed=0, num_snapshots=4)
    for wanted in (1, 4):
        with store.claim(fakes.candidate(), wanted) as writer:
            assert writer is None
    with store.claim(fakes.candidate(), 5) as writer:
        assert writer is not None


def test_a_run_to_the_end_replaces_one_without_final_accuracy(store):
    candidate = fakes.finish(store, seed=0, num_snapshots=4)
    with pytest.raises(StoreError, match="ask for 4 snapshots instead of 2"), store.claim(candidate, 2, True):
        pass
    fakes.finish(store, seed=0, num_snapshots=4, final_accuracy=0.5)
    assert store.read(candidate.id).curve.final_accuracy == 0.5
    with store.claim(candidate, 4, to_the_end=True) as writer:
        assert writer is None
    assert list(store.staging.iterdir()) == []


def test_more_snapshots_of_a_run_that_was_trained_to_its_end_lose_nothing_of_it(store):
    known = fakes.curve(1, final_accuracy=0.5)
    known.train_loss, known.epoch_accuracy = [2.5, 2.25, 2.0, 1.75], [0.25, 0.375]
    with store.claim(fakes.candidate(), 1, to_the_end=True) as writer:
        writer.finish(fakes.trajectory(0, 1), known)
    candidate = fakes.finish(store, seed=0, num_snapshots=3)  # 2 losses, 1 epoch
    assert store.complete() == {candidate.id: 3}
    assert store.final_accuracy(candidate.id) == 0.5
    found = store.read(candidate.id).curve
    assert (found.train_loss, found.epoch_accuracy) == (known.train_loss, known.epoch_accuracy)
    assert len(found.snapshot_accuracy) == 3
    fakes.finish(store, seed=0, num_snapshots=4, final_accuracy=0.75)
    assert store.final_accuracy(candidate.id) == 0.75


def test_a_damaged_shorter_one_hinders_no_longer_one(store):
    candidate = fakes.finish(store, seed=0, num_snapshots=1, final_accuracy=0.5)
    (store.folder(candidate.id) / "units" / "zarr.json").write_text("{")
    fakes.finish(store, seed=0, num_snapshots=3)
    assert len(store.read(candidate.id).trajectory) == 3


def test_the_training_state_outlives_an_interruption_and_goes_with_the_end(store):
    def interrupted():
        with store.claim(fakes.candidate(), 2) as writer:
            writer.state_path.write_bytes(b"half way")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    with store.claim(fakes.candidate(), 2) as writer:
        assert writer.state_path.read_bytes() == b"half way"
        writer.finish(fakes.trajectory(0, 2), fakes.curve(2))
    assert list(store.staging.iterdir()) == []


def test_a_kept_state_serves_a_longer_request(store):
    with store.claim(fakes.candidate(), 2) as writer:
        writer.state_path.write_bytes(b"step 20")
        writer.finish(fakes.trajectory(0, 2), fakes.curve(2), keep_state=True)
    with store.claim(fakes.candidate(), 5) as writer:
        assert writer.state_path.read_bytes() == b"step 20"
        writer.discard_state()
    assert list(store.staging.iterdir()) == []


def test_what_does_not_fit_is_refused(store):
    with store.claim(fakes.candidate(), 2) as writer:
        with pytest.raises(StoreError, match="every 7 steps cannot go into a store of every 10"):
            writer.finish(fakes.trajectory(0, 2, every=7), fakes.curve(2))
        with pytest.raises(StoreError, match=r"'snapshot_accuracy' .* \(3,\), expected float32 \[T=2\]"):
            writer.finish(fakes.trajectory(0, 2), fakes.curve(3))
        with pytest.raises(StoreError, match="final accuracy of nan"):
            writer.finish(fakes.trajectory(0, 2), fakes.curve(2, float("nan")))
    assert store.complete() == {}
    assert list(store.staging.iterdir()) == []
    with pytest.raises(StoreError, match="holds no complete candidate"):
        store.read(fakes.candidate().id)


def test_failures_are_kept_counted_and_forgotten(store):
    candidate = fakes.candidate(7)
    store.record_failure(candidate, "loss is\nnan", step=30)
    failure = store.record_failure(candidate, "loss is inf", step=40)
    assert store.failures() == {candidate.id: failure}
    assert (failure.reason, failure.step, failure.tries, failure.seed) == ("loss is inf", 40, 2, 7)
    fakes.finish(store, seed=7, num_snapshots=1)
    assert store.failures() == {}


def test_a_failure_that_is_forgotten_while_others_are_read_stops_nobody(store, monkeypatch):
    kept, forgotten = fakes.candidate(1), fakes.candidate(2)
    for candidate in (kept, forgotten):
        store.record_failure(candidate, "its worker died")
    read_bytes = Path.read_bytes

    def read(path):
        clear_failure(store.root / "failed", forgotten.id)  # by the worker that has just completed it
        return read_bytes(path)

    monkeypatch.setattr(Path, "read_bytes", read)
    assert list(store.failures()) == [kept.id]
    assert store.record_failure(forgotten, "again").tries == 1


def test_failures_that_cannot_be_listed_are_not_taken_for_none(store):
    """Candidates that failed would be trained again; only a copy that was made without empty folders has none."""
    (store.root / "failed").rmdir()
    assert store.failures() == {}
    (store.root / "failed").touch()
    with pytest.raises(StoreError, match=r"Listing failed candidates failed at .*Not a directory; check the file"):
        store.failures()


def test_a_damaged_failure_record_is_named(store):
    (store.root / "failed" / "0123456789abcdef.json").write_text("{}")
    with pytest.raises(StoreError, match=r"0123456789abcdef\.json is damaged .*delete it"):
        store.failures()


def test_writing_and_claiming_need_no_torch():
    modules = "candidate_folder, claims, disk, failures, shelf, store_root"
    code = f"import sys; from nap2.snapshots import {modules}; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
