"""Stores and sets of one setting read as one: nothing doubled, nothing hidden, the longer version wins."""

import fakes_set
import pytest
import torch
from fakes_store import candidate, finish, setting, trajectory

from nap2.errors import StoreError
from nap2.snapshots.index import refresh_index
from nap2.snapshots.joint import open_joint
from nap2.snapshots.released import Limits, add_part
from nap2.snapshots.store import SnapshotStore


def stores(tmp_path, *contents):
    """One store per mapping of seed to number of snapshots."""
    roots = [tmp_path / f"store-{place}" for place in range(len(contents))]
    for root, content in zip(roots, contents, strict=True):
        store = SnapshotStore.create(root, setting())
        for seed, num_snapshots in content.items():
            finish(store, seed, num_snapshots)
    return roots


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_every_candidate_comes_from_where_most_of_it_is(tmp_path, order):
    roots = stores(tmp_path, {1: 1, 2: 3}, {2: 2, 3: 1, 1: 2})
    joint = open_joint([roots[place] for place in order])
    wanted = {1: 2, 2: 3, 3: 1}
    assert joint.complete() == dict(sorted((candidate(seed).id, count) for seed, count in wanted.items()))
    for seed, count in wanted.items():
        found = joint.read(candidate(seed).id)
        assert torch.equal(found.trajectory.values, trajectory(seed, count).values)
    rows = refresh_index(joint).rows
    assert {row.id: row.snapshots for row in rows} == joint.complete()
    assert all(row.stamp and joint.content_sha256(row.id) == row.content_sha256 for row in rows)


def test_of_two_as_long_the_first_named_answers(tmp_path):
    store = fakes_set.store(tmp_path / "store", (1, fakes_set.trajectory(seed=1, num_snapshots=2), None))
    add_part(tmp_path / "set", store, 3, Limits())
    key = candidate(1).id
    exact, rounded = (open_joint([tmp_path / name]).content_sha256(key) for name in ("store", "set"))
    assert exact != rounded
    for first, second, wanted in (("store", "set", exact), ("set", "store", rounded)):
        joint = open_joint([tmp_path / first, tmp_path / second])
        assert joint.content_sha256(key) == wanted == joint.record(key).content_sha256
        assert [row.content_sha256 for row in refresh_index(joint).rows] == [wanted]


def test_it_sees_what_is_added_while_it_is_open(tmp_path):
    roots = stores(tmp_path, {1: 1}, {})
    joint = open_joint(roots)
    assert list(joint.complete()) == [candidate(1).id]
    finish(SnapshotStore.open(roots[1]), 2, 1)
    assert joint.read(candidate(2).id).candidate == candidate(2)
    finish(SnapshotStore.open(roots[1]), 1, 3)
    before = joint.stamp(candidate(1).id)
    assert joint.complete()[candidate(1).id] == 3 == len(joint.read(candidate(1).id).trajectory)
    assert joint.stamp(candidate(1).id) != before


def test_a_failure_counts_only_where_no_member_holds_the_candidate(tmp_path):
    roots = stores(tmp_path, {1: 1}, {})
    other = SnapshotStore.open(roots[1])
    for seed in (1, 2):
        other.record_failure(candidate(seed), "diverged")
    joint = open_joint(roots)
    assert list(joint.failures()) == [candidate(2).id]
    assert {row.id: row.status for row in refresh_index(joint).rows} == {
        candidate(1).id: "complete",
        candidate(2).id: "failed",
    }


def test_what_cannot_be_read_as_one_is_refused(tmp_path):
    (root,) = stores(tmp_path, {1: 1})
    SnapshotStore.create(tmp_path / "adam", setting(recipe={"name": "digits", "lr": 0.2}))
    with pytest.raises(StoreError, match=r"cannot be read as one, their settings differ \(recipe.lr: 0.1 ≠ 0.2\)"):
        open_joint([root, tmp_path / "adam"])
    with pytest.raises(StoreError, match="is named twice"):
        open_joint([root, root.parent / "." / root.name])
    with pytest.raises(StoreError, match="No snapshot store at"):
        open_joint([root, tmp_path / "nothing"])
    with pytest.raises(StoreError, match=candidate(9).id):
        open_joint(stores(tmp_path / "more", {1: 1}, {2: 1})).read(candidate(9).id)
