"""Files and folders come and go whole, also where a file system lacks what is usual."""

import errno
import os
from pathlib import Path

import fakes_store as fakes
import pytest
import torch

from nap2.snapshots import disk
from nap2.snapshots.embedding_store import EmbeddingStore
from nap2.snapshots.store import SnapshotStore

WANTED = fakes.candidate()


def refusing(number, original, is_refused=lambda source, *_: True):
    """A call of `os` that the file system refuses."""

    def call(source, *rest):
        if is_refused(source, *rest):
            raise OSError(number, os.strerror(number), str(source))
        return original(source, *rest)

    return call


@pytest.fixture
def image(monkeypatch):
    """Folders that came with a container's image: overlayfs renames none of them."""
    came: set[int] = set()
    monkeypatch.setattr(os, "rename", refusing(errno.EXDEV, os.rename, lambda s, *_: os.stat(s).st_ino in came))

    def bake(root: Path) -> None:
        came.update(path.stat().st_ino for path in (root, *root.rglob("*")) if path.is_dir())

    return bake


@pytest.mark.parametrize("number", [errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS])
def test_a_file_is_made_once_where_there_are_no_hard_links(tmp_path, monkeypatch, number):
    monkeypatch.setattr(os, "link", refusing(number, os.link))
    assert disk.create_once(tmp_path / "a", b"first")
    assert not disk.create_once(tmp_path / "a", b"second")
    assert (tmp_path / "a").read_bytes() == b"first"
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
    store = SnapshotStore.create(tmp_path / "store", fakes.setting())
    fakes.finish(store, seed=0, num_snapshots=2)
    assert SnapshotStore.create(store.root, fakes.setting()).complete() == {WANTED.id: 2}
    embeddings = EmbeddingStore.create(tmp_path / "embeddings.zarr", ["a"], 1, 4, "some")
    embeddings.write(["a"], [torch.ones(1, 4)])
    assert torch.equal(embeddings.read(["a"])[0], torch.ones(1, 1, 4))


def test_a_link_that_fails_for_another_reason_is_no_reason_to_rename(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "link", refusing(errno.EIO, os.link))
    with pytest.raises(OSError, match="Input/output error"):
        disk.create_once(tmp_path / "a", b"")
    assert not list(tmp_path.iterdir())


def test_a_candidate_that_came_with_an_image_can_be_trained_further(tmp_path, image):
    store = SnapshotStore.create(tmp_path / "store", fakes.setting())
    fakes.finish(store, seed=0, num_snapshots=2)
    image(store.root)
    fakes.finish(store, seed=0, num_snapshots=3)
    assert [path.name for path in store.shelf.iterdir()] == [f"{WANTED.id}-T3"]
    assert not list(store.staging.iterdir())


def test_a_candidate_that_came_with_an_image_can_be_trained_to_its_end(tmp_path, image):
    store = SnapshotStore.create(tmp_path / "store", fakes.setting())
    fakes.finish(store, seed=0, num_snapshots=4)
    image(store.root)
    with store.claim(WANTED, 4, to_the_end=True) as writer:
        writer.finish(fakes.trajectory(0, 4), fakes.curve(4, 0.5))
    assert store.read(WANTED.id).curve.final_accuracy == 0.5
    assert [path.name for path in store.shelf.iterdir()] == [f"{WANTED.id}-T4"]
