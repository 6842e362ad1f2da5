"""Damage to a released set is named in one line; writers that die or meet leave it whole."""

import errno
import json
import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import fakes_set as fakes
import pytest
from fakes_store import candidate

from nap2.errors import CorruptSnapshotError, StoreError, StoreVersionError
from nap2.snapshots.claims import claimed
from nap2.snapshots.image_note import NOTE
from nap2.snapshots.index import refresh_index
from nap2.snapshots.reader import open_snapshots
from nap2.snapshots.released import Limits, SnapshotSet, add_part, writer
from nap2.snapshots.released.part import sealed
from nap2.snapshots.store import SnapshotStore


@pytest.fixture
def root(tmp_path):
    """A set of two parts, of two candidates each."""
    store = fakes.filled(tmp_path / "store", range(4))
    for _ in range(2):
        add_part(tmp_path / "set", store, 7, Limits(at_most=2))
    return tmp_path / "set"


def read_all(root):
    released = SnapshotSet.open(root)
    return [released.read(i) for i in released.complete()]


def flip(path, place):
    content = bytearray(path.read_bytes())
    content[place] ^= 1 << random.Random(place).randrange(8)
    path.write_bytes(content)


def test_an_undamaged_set_is_read(root):
    assert len(read_all(root)) == 4


@pytest.mark.parametrize("share", [0.0, 0.1, 0.3, 0.5, 0.7, 0.9, 0.999])
@pytest.mark.parametrize("name", ["part-0000.bin", "part-0001.bin"])
def test_a_flipped_bit_of_a_blob_is_named(root, name, share):
    flip(root / name, int(share * (root / name).stat().st_size))
    with pytest.raises(CorruptSnapshotError, match=rf"{name} is damaged \(candidate .{{16}} has another SHA-256"):
        read_all(root)
    states = [row.status for row in refresh_index(open_snapshots(root)).rows]
    assert sorted(states) == ["complete"] * 3 + ["corrupt"]


@pytest.mark.parametrize("name", ["part-0000.json", "set.json"])
def test_a_flipped_bit_of_a_list_is_named(root, name):
    size, pristine = (root / name).stat().st_size, (root / name).read_bytes()
    for place in range(0, size, max(1, size // 60)):
        flip(root / name, place)
        try:  # spaces between the values may change
            found = json.loads((root / name).read_bytes()) == json.loads(pristine)
        except ValueError:
            found = False
        if not found:
            with pytest.raises((CorruptSnapshotError, StoreVersionError), match=name):
                read_all(root)
        (root / name).write_bytes(pristine)


@pytest.mark.parametrize("size", [0, 100])
@pytest.mark.parametrize("name", ["part-0001.bin", "part-0001.json", "set.json"])
def test_a_truncated_file_is_named(root, name, size):
    os.truncate(root / name, size)
    with pytest.raises(CorruptSnapshotError, match=rf"{name} is damaged \(.+\); fetch the released file again"):
        read_all(root)


@pytest.mark.parametrize("name", ["part-0000.bin", "part-0000.json"])
def test_a_missing_file_is_named(root, name):
    (root / name).unlink()
    with pytest.raises(CorruptSnapshotError, match=f"{name} is damaged"):
        SnapshotSet.open(root).complete()


@pytest.mark.parametrize("name", ["part-0000.json", "set.json"])
def test_a_newer_format_is_refused(root, name):
    content = json.loads((root / name).read_bytes())
    del content["seal_sha256"]
    (root / name).write_bytes(sealed({**content, "format_version": 2}))
    with pytest.raises(StoreVersionError, match=r"has format version 2, this nap2 reads up to version 1; update nap2"):
        read_all(root)


def test_a_newer_schema_is_refused(root):
    content = json.loads((root / "set.json").read_bytes())
    del content["seal_sha256"]
    (root / "set.json").write_bytes(sealed({**content, "schema_version": 2}))
    with pytest.raises(StoreVersionError, match=r"has schema version 2"):
        SnapshotSet.open(root)


def test_where_there_is_no_set_that_is_said(tmp_path):
    with pytest.raises(StoreError, match=r"No snapshot set at .*; write one with stage=release"):
        SnapshotSet.open(tmp_path)


def test_what_the_system_refuses_to_read_is_not_called_damaged(root):
    with pytest.raises(StoreError, match=r"Looking for snapshots failed at x+: File name too long"):
        open_snapshots("x" * 300)
    released = SnapshotSet.open(root)
    for name, doing in (("part-0000.json", "Listing"), ("set.json", "Reading")):
        (root / name).unlink()
        (root / name).mkdir()
        with pytest.raises(StoreError, match=rf"{doing} a snapshot set failed at .*: Is a directory; check"):
            SnapshotSet.open(root).complete()
    with pytest.raises(StoreError, match="Listing a snapshot set failed"):
        released.complete()


def test_blobs_without_a_list_are_ignored_and_replaced(root, tmp_path):
    (root / "part-0002.bin").write_bytes(b"half a pa")
    assert len(read_all(root)) == 4
    store = fakes.filled(tmp_path / "store", [9])
    assert add_part(root, store, 7, Limits()).path.name == "part-0002.json"
    assert len(read_all(root)) == 5


@pytest.mark.parametrize("step", ["create_once", "make_durable", "sidecar"])
def test_a_killed_writer_leaves_a_set_that_the_next_call_completes(root, tmp_path, monkeypatch, step):
    store = fakes.filled(tmp_path / "store", [9])
    before = fakes.hashes(root)
    child = os.fork()
    if child == 0:
        monkeypatch.setattr(writer, step, lambda *args: os.kill(os.getpid(), signal.SIGKILL))
        add_part(root, store, 7, Limits())
        os._exit(0)
    assert os.WTERMSIG(os.waitpid(child, 0)[1]) == signal.SIGKILL
    assert len(read_all(root)) == 4
    assert add_part(root, store, 7, Limits()).num_candidates == 1
    assert len(read_all(root)) == 5
    after = fakes.hashes(root)
    assert before.items() <= after.items()
    assert after.keys() - before.keys() == {"part-0002.bin", "part-0002.json"}


@pytest.mark.parametrize("file", ["set.json", NOTE, "part-0000.json"])
def test_nothing_is_left_of_a_writer_that_was_killed_while_it_put_a_file_in_place(tmp_path, monkeypatch, file):
    store, root, link = fakes.filled(tmp_path / "store", [9]), tmp_path / "set", os.link
    (store.root / NOTE).write_text('{"test images": "ours"}')

    def die(source, target):
        if Path(target).name == file:
            os.kill(os.getpid(), signal.SIGKILL)
        link(source, target)

    child = os.fork()
    if child == 0:
        monkeypatch.setattr(os, "link", die)
        add_part(root, store, 7, Limits())
        os._exit(0)
    assert os.WTERMSIG(os.waitpid(child, 0)[1]) == signal.SIGKILL
    assert add_part(root, store, 7, Limits(all_mb=1.5 * size_of_one(tmp_path, store))).num_candidates == 1
    assert {path.name for path in root.iterdir()} == {"set.json", NOTE, "part-0000.json", "part-0000.bin"}
    assert len(read_all(root)) == 1


def size_of_one(tmp_path, store):
    add_part(tmp_path / "elsewhere/set", store, 7, Limits())
    return (tmp_path / "elsewhere/set/part-0000.bin").stat().st_size / 1e6


def test_a_set_whose_part_is_there_says_on_which_images_it_was_trained(tmp_path, monkeypatch):
    """Whenever its writer was killed: images of the same name but other content would be added to it otherwise."""
    store, root = fakes.filled(tmp_path / "store", [0]), tmp_path / "set"
    (store.root / NOTE).write_text('{"test images": "ours"}')
    child = os.fork()
    if child == 0:
        monkeypatch.setattr(writer, "NewPart", lambda *args: os.kill(os.getpid(), signal.SIGKILL))
        add_part(root, store, 7, Limits())
        os._exit(0)
    assert os.WTERMSIG(os.waitpid(child, 0)[1]) == signal.SIGKILL
    assert len(read_all(root)) == 1
    other = fakes.filled(tmp_path / "other", [1])
    (other.root / NOTE).write_text('{"test images": "others"}')
    with pytest.raises(StoreError, match=r"trained on different images of one dataset.name \(other test images\)"):
        add_part(root, other, 7, Limits())
    assert len(read_all(root)) == 1


def test_a_full_disk_leaves_no_half_of_a_part(root, tmp_path, monkeypatch):
    def refuse(folder):
        raise OSError(errno.ENOSPC, "No space left on device")

    store, before = fakes.filled(tmp_path / "store", [9]), fakes.hashes(root)
    monkeypatch.setattr(writer, "make_durable", refuse)
    with pytest.raises(StoreError, match="the disk or quota is full"):
        add_part(root, store, 7, Limits())
    assert fakes.hashes(root) == before


def test_a_writer_that_was_taken_over_touches_nothing(root, tmp_path, monkeypatch):
    """It was suspended, and the next one has released the same candidates under the same number."""
    store = fakes.filled(tmp_path / "store", [9])

    def suspend(folder):
        owner = json.loads((root / ".writing" / "owner.json").read_bytes())
        (root / ".writing" / "owner.json").write_text(json.dumps({**owner, "token": "theirs"}))
        for name in ("part-0002.bin", "part-0002.json"):
            (root / name).write_bytes(b"theirs")

    monkeypatch.setattr(writer, "make_durable", suspend)
    with pytest.raises(StoreError, match=r"Another process took over adding to .*; call again"):
        add_part(root, store, 7, Limits())
    assert (root / "part-0002.bin").read_bytes() == b"theirs"


def test_a_second_writer_is_refused_while_the_first_is_at_work(root, tmp_path):
    store = fakes.filled(tmp_path / "store", [9])
    with (
        claimed(root / ".writing"),
        pytest.raises(StoreError, match=r"Another process is adding to .* just now; call again"),
    ):
        add_part(root, store, 7, Limits())
    assert add_part(root, store, 7, Limits()).num_candidates == 1


@pytest.mark.slow
def test_writers_that_start_together_release_each_candidate_once(tmp_path):
    store = fakes.filled(tmp_path / "store", range(6))
    code = (
        "import sys; from nap2.snapshots.store import SnapshotStore; from nap2.snapshots.released import *\n"
        "from nap2.errors import StoreError\n"
        "try: print(add_part(sys.argv[1], SnapshotStore.open(sys.argv[2]), 7, Limits()).num_candidates)\n"
        "except StoreError as error: print(error)"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "set"), str(store.root)]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2])}
    writers = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) for _ in range(3)]
    said = [process.communicate()[0].strip() for process in writers]
    assert said.count("6") == 1
    assert all(text in ("6", "0") or "Another process" in text for text in said)
    released = SnapshotSet.open(tmp_path / "set")
    assert released.complete() == SnapshotStore.open(store.root).complete()
    assert len(released.parts) == 1
    assert candidate(0).id in released.complete()
