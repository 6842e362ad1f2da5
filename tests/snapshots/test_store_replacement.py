"""A candidate trained to its end replaces one of as many snapshots: at no moment is there none, or half of one."""

import os
import signal

import fakes_store as fakes
import pytest

from nap2.errors import StoreError
from nap2.snapshots import candidate_folder, claims, disk, shelf
from nap2.snapshots.store import SnapshotStore
from nap2.stages.campaign.ledger import Ledger

WANTED = fakes.candidate()


@pytest.fixture
def store(tmp_path):
    store = SnapshotStore.create(tmp_path / "store", fakes.setting())
    fakes.finish(store, seed=0, num_snapshots=4)
    return store


def replace(store):
    with store.claim(WANTED, 4, to_the_end=True) as writer:
        longer = fakes.curve(4, 0.5)
        longer.train_loss.append(2.0)
        writer.finish(fakes.trajectory(0, 4), longer)


def test_a_reader_finds_it_whole_between_any_two_renames(store, monkeypatch):
    original, seen = os.rename, []

    def rename(source, target):
        original(source, target)
        assert store.complete() == {WANTED.id: 4}
        seen.append((store.final_accuracy(WANTED.id), store.read(WANTED.id).curve.final_accuracy))

    monkeypatch.setattr(os, "rename", rename)
    replace(store)
    assert seen[0] == (None, None)
    assert seen[-1] == (0.5, 0.5)
    assert [path.name for path in store.shelf.iterdir()] == [f"{WANTED.id}-T4"]


def test_a_reader_who_began_before_it_looks_again(store, monkeypatch):
    original, replaced = candidate_folder._read_array, []

    def read_array(path):
        if not replaced:
            replaced.append(True)
            replace(store)
        return original(path)

    monkeypatch.setattr(candidate_folder, "_read_array", read_array)
    assert store.read(WANTED.id).curve.final_accuracy == 0.5


def test_the_size_of_one_that_goes_meanwhile_is_that_of_the_next(store, monkeypatch):
    original, replaced = shelf.files, []

    def files(folder, prefix=""):
        if not replaced:
            replaced.append(True)
            fakes.finish(store, seed=0, num_snapshots=5)
        return original(folder, prefix)

    monkeypatch.setattr(shelf, "files", files)
    size = store.num_bytes(WANTED.id)
    assert size == sum(path.stat().st_size for path in store.folder(WANTED.id).rglob("*") if path.is_file())


def test_a_look_that_meets_both_renames_finds_the_new_one(store, monkeypatch):
    """The old folder is away when it is looked for, and has gone when it is looked for aside."""
    folder, original, looks = store.folder(WANTED.id), shelf.Path.is_dir, []

    def is_dir(path):
        looks.append(path.name)
        return original(path) and looks.count(folder.name) > 1

    monkeypatch.setattr(shelf.Path, "is_dir", is_dir)
    assert shelf.find(store.shelf, WANTED.id) == folder


@pytest.mark.parametrize("place", range(4))
@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_kill_at_any_rename_leaves_the_old_one_or_the_new_one(store, place, moment):
    child = os.fork()
    if child == 0:
        calls, original = [], os.rename

        def rename(source, target):
            calls.append(None)
            if len(calls) == place + 1 and moment == "before":
                os.kill(os.getpid(), signal.SIGKILL)
            original(source, target)
            if len(calls) == place + 1:
                os.kill(os.getpid(), signal.SIGKILL)

        disk.os.rename = rename
        replace(store)
        os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(child, 0)
    assert store.complete() == {WANTED.id: 4}
    assert store.read(WANTED.id).curve.final_accuracy in (None, 0.5)
    with store.claim(WANTED, 4) as writer:
        assert writer is None
    with store.claim(WANTED, 4, to_the_end=True) as writer:
        if writer is not None:
            assert store.read(WANTED.id).curve.final_accuracy is None
            writer.finish(fakes.trajectory(0, 4), fakes.curve(4, 0.5))
    assert store.read(WANTED.id).curve.final_accuracy == 0.5
    SnapshotStore.create(store.root, store.setting)
    assert [path.name for path in store.shelf.iterdir()] == [f"{WANTED.id}-T4"]
    assert list(store.staging.iterdir()) == []


def test_a_replacement_that_the_disk_refuses_leaves_the_old_one(store, monkeypatch):
    original = shelf.move_folder

    def move_folder(source, target):
        if source.name.startswith("write-") and not target.exists():
            raise OSError(28, "No space left on device")
        return original(source, target)

    monkeypatch.setattr(shelf, "move_folder", move_folder)
    with pytest.raises(Exception, match="the disk or quota is full"):
        replace(store)
    assert store.read(WANTED.id).curve.final_accuracy is None
    assert [path.name for path in store.shelf.iterdir()] == [f"{WANTED.id}-T4"]


@pytest.mark.parametrize("better", ["longer", "to its end"])
def test_what_another_user_may_not_take_away_stays_and_is_read_no_more(store, monkeypatch, better):
    """A folder that the writing user may not write can be renamed where it stands, and not moved elsewhere."""
    original = os.rename

    def rename(source, target):
        if os.path.dirname(target) != os.path.dirname(source) == str(store.shelf):
            raise PermissionError(13, "Permission denied")
        original(source, target)

    monkeypatch.setattr(os, "rename", rename)
    if better == "longer":
        fakes.finish(store, seed=0, num_snapshots=5, final_accuracy=0.5)
    else:
        replace(store)
    assert len(list(store.shelf.iterdir())) == 2
    assert store.complete() == {WANTED.id: 5 if better == "longer" else 4}
    assert store.read(WANTED.id).curve.final_accuracy == 0.5
    assert not list(store.staging.iterdir())


def test_a_ledger_that_looks_meanwhile_is_not_stopped(store, monkeypatch):
    original, replaced = candidate_folder.json.load, []

    def load(file):
        found = original(file)
        if not replaced:
            replaced.append(True)
            replace(store)
            raise ValueError("half of it")
        return found

    monkeypatch.setattr(candidate_folder.json, "load", load)
    assert Ledger(store, [WANTED], 4, to_the_end=True).counts().done == 1


@pytest.mark.parametrize("array", candidate_folder.STORED_ARRAYS)
def test_a_worker_that_is_taken_over_while_it_writes_leaves_nothing_half_written(tmp_path, monkeypatch, array):
    store = SnapshotStore.create(tmp_path / "store", fakes.setting())
    write_array = candidate_folder._write_array

    def take_over(group, name, content):
        if name == array:  # as another machine does to one that was suspended for minutes
            claims._take(store.staging / WANTED.id, locked=True)
        write_array(group, name, content)

    with store.claim(WANTED, 4) as writer:
        monkeypatch.setattr(candidate_folder, "_write_array", take_over)
        with pytest.raises(StoreError):
            writer.finish(fakes.trajectory(0, 4), fakes.curve(4))
        assert writer.was_taken_over()
    assert store.complete() == {}
