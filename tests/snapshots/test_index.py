import csv
import os

import fakes_store as fakes
import pytest

from nap2.errors import StoreError
from nap2.schema import COUNTS
from nap2.snapshots.index import read_index, refresh_index
from nap2.snapshots.store import SnapshotStore


@pytest.fixture
def store(tmp_path):
    store = SnapshotStore.create(tmp_path / "store", fakes.setting())
    for seed in range(3):
        fakes.finish(store, seed, num_snapshots=2 + seed, final_accuracy=0.5 if seed else None)
    store.record_failure(fakes.candidate(9), "loss is nan", step=7)
    return store


def damage(store, seed):
    """Flip one bit, and leave the file's time and size as they were."""
    path = store.folder(fakes.candidate(seed).id) / "values" / "c.0.0.0"
    status, content = path.stat(), bytearray(path.read_bytes())
    content[len(content) // 2] ^= 4
    path.write_bytes(content)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def test_every_candidate_has_one_row(store):
    summary = refresh_index(store)
    assert summary.count_by_status == {"complete": 3, "failed": 1}
    assert [row.id for row in summary.rows] == sorted(fakes.candidate(seed).id for seed in (0, 1, 2, 9))
    row = next(row for row in summary.rows if row.seed == 1)
    assert (row.snapshots, row.layers, row.dataset, row.final_accuracy) == (3, len(fakes.UNITS), "digits", 0.5)
    assert row.counts == tuple(fakes.trajectory(1, 3).counts.sum((0, 1)).tolist())
    assert row.bytes == sum(p.stat().st_size for p in store.folder(row.id).rglob("*") if p.is_file())
    failed = next(row for row in summary.rows if row.status == "failed")
    assert (failed.seed, failed.snapshots, failed.reason) == (9, 0, "loss is nan (1 try)")


def test_the_file_holds_what_was_found_under_names_of_its_own(store):
    summary = refresh_index(store)
    assert read_index(summary.path) == summary.rows
    with open(summary.path, newline="") as file:
        assert set(COUNTS) < set(csv.DictReader(file).fieldnames)


def test_only_what_changed_is_read_again(store):
    assert refresh_index(store).num_verified == 3
    content = (store.root / "index.csv").read_bytes()
    again = refresh_index(store)
    assert (again.num_verified, (store.root / "index.csv").read_bytes()) == (0, content)
    fakes.finish(store, seed=0, num_snapshots=9)
    fakes.finish(store, seed=4, num_snapshots=1)
    grown = refresh_index(store)
    assert grown.num_verified == 2
    assert {row.seed: row.snapshots for row in grown.rows if row.status == "complete"} == {0: 9, 1: 3, 2: 4, 4: 1}


def test_a_damaged_candidate_is_listed_and_not_deleted(store):
    refresh_index(store)
    damage(store, seed=1)
    assert refresh_index(store).corrupt == []  # neither time nor size tells
    summary = refresh_index(store, full=True)
    (row,) = summary.corrupt
    assert row.id == fakes.candidate(1).id
    assert "is damaged" in row.reason
    assert len(store.complete()) == 3
    assert refresh_index(store).corrupt == [row]  # stays listed


def test_a_candidate_of_another_schema_is_refused_and_not_called_damaged(store):
    path = store.folder(fakes.candidate(1).id) / "zarr.json"
    path.write_text(path.read_text().replace('"schema_version": 1', '"schema_version": 2'))
    summary = refresh_index(store)
    assert summary.count_by_status == {"complete": 2, "refused": 1, "failed": 1}


@pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"id,status\n1,complete\n"])
def test_a_damaged_index_is_rebuilt(store, content):
    rows = refresh_index(store).rows
    (store.root / "index.csv").write_bytes(content)
    assert refresh_index(store).rows == rows


def test_a_store_of_somebody_else_is_indexed_in_memory(store, monkeypatch):
    def refuse(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("nap2.snapshots.index.write_atomically", refuse)
    assert len(refresh_index(store).rows) == 4
    assert not (store.root / "index.csv").exists()


def test_an_overview_of_somebody_else_that_may_not_be_read_is_done_without(store, monkeypatch):
    def refuse(*_, **__):
        raise PermissionError(13, "Permission denied")

    rows = refresh_index(store).rows
    monkeypatch.setattr("nap2.snapshots.index.open", refuse, raising=False)
    assert refresh_index(store).rows == rows


def test_progress_sees_what_is_verified(store):
    seen = []
    refresh_index(store, progress=lambda ids: seen.extend(ids) or ids)
    assert seen == sorted(fakes.candidate(seed).id for seed in range(3))


def test_an_interrupted_refresh_is_continued_and_not_begun_again(store, monkeypatch):
    def interrupted(ids):
        yield from ids[:2]
        raise KeyboardInterrupt

    monkeypatch.setattr("nap2.snapshots.index.SAVE_EVERY", 1)
    with pytest.raises(KeyboardInterrupt):
        refresh_index(store, progress=interrupted)
    again = refresh_index(store)
    assert again.num_verified == 1
    assert again.count_by_status == {"complete": 3, "failed": 1}


def test_a_candidate_of_another_setting_that_was_copied_into_the_store_is_refused(store, tmp_path):
    """Two stores merged by hand: of one setting that works; of two, a predictor would be fitted on both."""
    other = SnapshotStore.create(tmp_path / "other", fakes.setting(dataset="cifar100"))
    foreign = fakes.candidate(0, dataset="cifar100")
    with other.claim(foreign, 2) as writer:
        writer.finish(fakes.trajectory(0, 2), fakes.curve(2))
    other.folder(foreign.id).rename(store.shelf / f"{foreign.id}-T2")
    summary = refresh_index(store)
    assert summary.count_by_status == {"complete": 3, "refused": 1, "failed": 1}
    row = next(row for row in summary.rows if row.id == foreign.id)
    assert (
        "is of another setting than its store (dataset: 'cifar100' ≠ 'digits'); move it into a store of" in row.reason
    )
    with pytest.raises(StoreError, match="another setting"):
        store.read(foreign.id)
