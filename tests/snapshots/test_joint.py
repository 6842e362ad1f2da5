"""Stores and sets of one setting read as one: nothing doubled, nothing hidden, the longer version wins."""

import json

import fakes_set
import pytest
import torch
from fakes_store import candidate, finish, setting, trajectory

from nap2.errors import CorruptSnapshotError, StoreError
from nap2.snapshots.image_note import NOTE
from nap2.snapshots.index import refresh_index
from nap2.snapshots.reader import open_joint, open_snapshots
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


def test_stores_of_other_images_under_one_name_are_not_read_as_one(tmp_path):
    roots = stores(tmp_path, {1: 1}, {2: 1}, {3: 1})
    for root, images in zip(roots, ("mine", "theirs", None), strict=True):
        if images:
            (root / NOTE).write_text(json.dumps({"training images": images, "flip": False}))
    open_joint([roots[0], roots[2]])  # the last one is older than notes
    for same_setting in (True, False):
        with pytest.raises(StoreError, match=r"store-0 and of .*store-1 were .* images .* \(other training images\)"):
            open_joint([roots[2], roots[0], roots[1]], same_setting)
    (roots[1] / NOTE).write_text("{")
    with pytest.raises(StoreError, match=r"images\.json is damaged"):
        open_joint(roots[:2])


LONG, SHORT = 3, 2


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
@pytest.mark.parametrize(
    ("lengths", "accuracies", "values_of"),
    [
        ((LONG, SHORT), (None, 0.75), 0),
        ((SHORT, SHORT), (None, 0.75), None),
        ((LONG, SHORT), (0.75, None), 0),
    ],
)
def test_a_final_accuracy_is_that_of_whichever_knows_it(tmp_path, order, lengths, accuracies, values_of):
    """One is a store, the other a set of rounded statistics: their values differ, and tell which of them was read."""
    versions = [
        (1, fakes_set.trajectory(1, length), *accuracy)
        for length, accuracy in zip(lengths, known(accuracies), strict=True)
    ]
    store = fakes_set.store(tmp_path / "0", versions[0])
    add_part(tmp_path / "1", fakes_set.store(tmp_path / "origin", versions[1]), 3, Limits())
    joint, key = open_joint([tmp_path / str(place) for place in order]), candidate(1).id
    read_from = open_snapshots(tmp_path / str(order[0] if values_of is None else values_of))
    found = joint.read(key)
    assert torch.equal(found.trajectory.values, read_from.read(key).trajectory.values)
    assert found.curve.final_accuracy == joint.record(key).final_accuracy == 0.75
    assert [(row.snapshots, row.final_accuracy) for row in refresh_index(joint).rows] == [(max(lengths), 0.75)]
    assert joint.content_sha256(key) == read_from.content_sha256(key)
    assert store.read(key).curve.final_accuracy == accuracies[0]


def known(accuracies):
    """As `fakes_set.store` is told of them."""
    return [() if accuracy is None else (accuracy,) for accuracy in accuracies]


def damage(store, seed, file="values/c.0.0.0"):
    path = store.folder(candidate(seed).id) / file
    path.write_bytes(path.read_bytes()[:-20])


@pytest.mark.parametrize("file", ["values/c.0.0.0", "zarr.json"])
@pytest.mark.parametrize("lengths", [(2, 2), (3, 2)])
def test_where_one_is_damaged_an_intact_one_is_read_and_the_damage_is_named(tmp_path, file, lengths):
    roots = stores(tmp_path, {1: lengths[0]}, {1: lengths[1]})
    damage(SnapshotStore.open(roots[0]), 1, file)
    joint, key = open_joint(roots), candidate(1).id
    assert torch.equal(joint.read(key).trajectory.values, trajectory(1, lengths[1]).values)
    summary = refresh_index(joint)
    assert [(row.id, row.status, row.snapshots) for row in summary.rows] == [(key, "complete", lengths[1])]
    (row,) = summary.corrupt
    assert (row.id, row.status) == (key, "corrupt")
    assert str(roots[0]) in row.reason


def test_a_final_accuracy_is_not_taken_from_damaged_bytes(tmp_path):
    roots = stores(tmp_path, {1: 3}, {})
    other = SnapshotStore.open(roots[1])
    finish(other, 1, 2, final_accuracy=0.75)
    joint, key = open_joint(roots), candidate(1).id
    assert joint.read(key).curve.final_accuracy == 0.75
    damage(other, 1)
    assert joint.read(key).curve.final_accuracy is None
    assert [row.final_accuracy for row in refresh_index(joint).rows] == [None]


def test_what_is_damaged_everywhere_is_refused_and_every_copy_named(tmp_path):
    roots = stores(tmp_path, {1: 2}, {1: 2}, {})
    for root in roots[:2]:
        damage(SnapshotStore.open(root), 1)
    SnapshotStore.open(roots[2]).record_failure(candidate(1), "diverged")
    joint = open_joint(roots)
    with pytest.raises(CorruptSnapshotError, match=str(roots[0])):
        joint.read(candidate(1).id)
    summary = refresh_index(joint)
    assert [row.status for row in summary.rows] == ["corrupt"]
    assert [str(root) in row.reason for root, row in zip(roots[:2], summary.corrupt, strict=True)] == [True, True]


def test_it_sees_what_is_added_while_it_is_open(tmp_path):
    roots = stores(tmp_path, {1: 1}, {})
    joint = open_joint(roots)
    assert list(joint.complete()) == [candidate(1).id]
    finish(SnapshotStore.open(roots[1]), 2, 1)
    assert joint.read(candidate(2).id).candidate == candidate(2)
    finish(SnapshotStore.open(roots[1]), 1, 3)
    assert joint.complete()[candidate(1).id] == 3 == len(joint.read(candidate(1).id).trajectory)


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
