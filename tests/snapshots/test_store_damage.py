import errno
import os
import random
import shutil
import threading

import fakes_store as fakes
import numpy as np
import pytest

from nap2.errors import CorruptSnapshotError, StoreError, StoreVersionError
from nap2.snapshots import candidate_folder, disk, half_copies
from nap2.snapshots.curve import Curve
from nap2.snapshots.store import SnapshotStore

SHARD = "values/c.0.0.0"


@pytest.fixture
def store(tmp_path):
    store = SnapshotStore.create(tmp_path / "store", fakes.setting())
    fakes.finish(store, seed=0, num_snapshots=3, final_accuracy=0.75)
    return store


@pytest.fixture
def folder(store):
    return store.folder(fakes.candidate().id)


def assert_refused(store):
    with pytest.raises(CorruptSnapshotError, match=r"is damaged \(.+\); delete .* and run stage=snapshot again"):
        store.read(fakes.candidate().id)


def test_a_deleted_shard_is_not_read_as_the_fill_value(store, folder):
    (folder / SHARD).unlink()
    assert_refused(store)


@pytest.mark.parametrize("size", [0, 1, 1000])
def test_a_truncated_shard_is_refused(store, folder, size):
    with open(folder / SHARD, "r+b") as file:
        file.truncate(size)
    assert_refused(store)


@pytest.mark.parametrize("name", candidate_folder.STORED_ARRAYS)
def test_a_deleted_array_is_refused(store, folder, name):
    shutil.rmtree(folder / name)
    assert_refused(store)


@pytest.mark.parametrize("name", ["zarr.json", *candidate_folder.STORED_ARRAYS, SHARD])
def test_what_was_copied_in_half_is_told_from_what_is_whole_without_opening_it(store, folder, name):
    fakes.finish(store, seed=1, num_snapshots=2)
    asked = [fakes.candidate(seed).id for seed in range(3)]
    assert store.cut_short(asked) == []
    (folder / name).unlink() if (folder / name).is_file() else shutil.rmtree(folder / name)
    assert store.cut_short(asked) == [folder]
    assert store.cut_short(asked[1:]) == []
    assert asked[0] in store.complete()


def test_a_candidate_that_may_not_be_looked_at_is_not_called_cut_short(store, folder, monkeypatch):
    """Whoever shares a store with others may train, though a folder of theirs is closed."""
    stat = os.stat

    def refuse(path, *args, **asked):
        if str(path).startswith(f"{folder}/"):
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return stat(path, *args, **asked)

    monkeypatch.setattr(os, "stat", refuse)
    assert store.cut_short([fakes.candidate(0).id]) == []


def test_several_candidates_are_looked_for_at_once(store, folder, monkeypatch):
    """Where each look waits for a file server, 15,625 of them take minutes one after another."""
    fakes.finish(store, seed=1, num_snapshots=2)
    both = threading.Barrier(2)
    monkeypatch.setattr(half_copies, "lacks_files", lambda _: both.wait(timeout=10) < 0)
    assert store.cut_short([fakes.candidate(seed).id for seed in range(2)]) == []


def test_a_curve_without_entries_is_no_missing_file(tmp_path):
    store, who = SnapshotStore.create(tmp_path / "store", fakes.setting()), fakes.candidate()
    with store.claim(who, 1) as writer:
        writer.finish(fakes.trajectory(0, 1), Curve([], [float("nan")], [float("nan")], []))
    assert store.cut_short([who.id]) == []


def test_missing_attributes_are_refused(store, folder):
    (folder / "zarr.json").unlink()
    assert_refused(store)


def test_a_changed_attribute_is_refused(store, folder):
    text = (folder / "zarr.json").read_text()
    (folder / "zarr.json").write_text(text.replace('"final_accuracy": 0.75', '"final_accuracy": 0.76'))
    assert_refused(store)


def test_no_flipped_bit_is_silent(store, folder):
    """One bit anywhere in any file: an error in one line, or exactly what was written; never another number."""
    draw, written = random.Random(0), store.record(fakes.candidate().id)
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    messages = []
    for path in [*paths, *[folder / SHARD] * 30]:
        content = path.read_bytes()
        damaged = bytearray(content)
        damaged[draw.randrange(len(content))] ^= 1 << draw.randrange(8)
        path.write_bytes(damaged)
        try:
            read = store.record(fakes.candidate().id)
            assert read.content_sha256 == written.content_sha256
            assert all(np.array_equal(read.arrays[n], written.arrays[n]) for n in written.arrays)
        except (CorruptSnapshotError, StoreVersionError) as error:
            messages.append(str(error))
        path.write_bytes(content)
    assert len(messages) >= 30
    assert not any("\n" in message for message in messages)
    store.read(fakes.candidate().id)


def test_a_folder_under_another_name_is_refused(store, folder):
    folder.rename(store.shelf / f"{'0' * 16}-T3")
    with pytest.raises(CorruptSnapshotError, match=r"holds candidate .* and not the one its name says"):
        store.read("0" * 16)
    (store.shelf / f"{'0' * 16}-T3").rename(store.shelf / f"{fakes.candidate().id}-T4")
    with pytest.raises(CorruptSnapshotError, match="-T3 and not the one"):
        store.read(fakes.candidate().id)


@pytest.mark.parametrize("at", ["first array", "last array", "rename"])
def test_a_full_disk_leaves_the_state_and_nothing_half_written(store, monkeypatch, at):
    full = OSError(28, "No space left on device")
    calls = {"first array": 1, "last array": 7, "rename": 0}[at]
    original = candidate_folder._write_array

    def write_array(*arguments):
        nonlocal calls
        calls -= 1
        if calls == 0:
            raise full
        original(*arguments)

    def refuse(*_):
        raise full

    with monkeypatch.context() as patched:
        patched.setattr(candidate_folder, "_write_array", write_array)
        if at == "rename":
            patched.setattr("nap2.snapshots.shelf.move_folder", refuse)
        with store.claim(fakes.candidate(1), 2) as writer:
            writer.state_path.write_bytes(b"all steps done")
            with pytest.raises(StoreError, match=r"Writing candidate .* the disk or quota is full; free some space"):
                writer.finish(fakes.trajectory(1, 2), fakes.curve(2))
    staged = store.staging / fakes.candidate(1).id
    assert sorted(path.name for path in staged.iterdir()) == ["claim.lock", "state.pt"]
    assert fakes.candidate(1).id not in store.complete()
    fakes.finish(store, seed=1, num_snapshots=2)
    store.read(fakes.candidate(1).id)
    assert list(store.staging.iterdir()) == []


def test_a_folder_that_cannot_be_written_is_named(tmp_path, store, monkeypatch):
    def refuse(*_, **__):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("pathlib.Path.mkdir", refuse)
    with pytest.raises(StoreError, match=r"Making a snapshot store failed at .*Permission denied; make it accessible"):
        SnapshotStore.create(tmp_path / "other", fakes.setting())
    with (
        pytest.raises(StoreError, match=r"Claiming a candidate failed at .*Permission denied"),
        store.claim(fakes.candidate(1), 2),
    ):
        pass


def test_a_failure_record_of_somebody_else_is_one_line_and_costs_nothing(store, monkeypatch):
    def refuse(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("nap2.snapshots.writer.clear_failure", refuse)
    with pytest.raises(StoreError, match=r"Writing candidate .* failed at .*Permission denied"):
        fakes.finish(store, seed=1, num_snapshots=2)
    assert len(store.read(fakes.candidate(1).id).trajectory) == 2


def test_a_candidate_that_cannot_be_read_is_not_called_damaged(store, folder, monkeypatch):
    def refuse(*_, **__):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(candidate_folder, "_read_array", refuse)
    with pytest.raises(StoreError, match=r"cannot be read: .*Permission denied") as caught:
        store.read(fakes.candidate().id)
    assert not isinstance(caught.value, CorruptSnapshotError)


def test_a_reader_follows_a_candidate_that_grows_under_its_hands(store, folder, monkeypatch):
    """A longer one takes the shorter one's place between two files that are read."""
    original, grown = candidate_folder._read_array, []

    def read_array(path):
        if not grown:
            grown.append(True)
            fakes.finish(store, seed=0, num_snapshots=9, final_accuracy=0.75)
        return original(path)

    monkeypatch.setattr(candidate_folder, "_read_array", read_array)
    assert len(store.read(fakes.candidate().id).trajectory) == 9


def test_what_a_killed_process_left_to_delete_is_deleted(store):
    (store.staging / "trash-1" / "values").mkdir(parents=True)
    SnapshotStore.create(store.root, fakes.setting())
    assert list(store.staging.iterdir()) == []
    disk.remove_folder(store.shelf / "missing", store.staging)
