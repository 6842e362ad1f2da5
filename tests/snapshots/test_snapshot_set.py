"""What is released comes back: rounded as said, derived as said, found again, and nothing that exists is touched."""

import fakes_set as fakes
import numpy as np
import pytest
import torch
from fakes_store import candidate, setting
from fakes_store import trajectory as unrelated_trajectory

from nap2.errors import StoreError
from nap2.snapshots.index import refresh_index
from nap2.snapshots.reader import open_snapshots
from nap2.snapshots.released import Limits, SnapshotSet, add_part
from nap2.snapshots.released.planes import packed, rounded, unpacked
from nap2.snapshots.released.reduction import KEPT, reduced
from nap2.snapshots.store import SnapshotStore

BITS = 7


def release(tmp_path, store, **limits):
    return add_part(tmp_path / "set", store, BITS, Limits(**limits))


@pytest.mark.parametrize("bits", [1, 3, 7, 8, 9, 15, 16, 22, 23])
def test_planes_give_back_numbers_rounded_to_nearest_even(bits):
    random = np.random.default_rng(bits)
    scales = 10.0 ** random.uniform(-37, 37, 400)
    numbers = np.concatenate([random.standard_normal(400) * scales, [0.0, -0.0, 1.0, -1.5, 1.25, 1.75, 0.1]])
    numbers = numbers.astype(np.float32)
    again = unpacked(packed(numbers, bits), bits, numbers.shape)
    assert again.tolist() == [fakes.round_slowly(float(x), bits) for x in numbers]
    assert np.array_equal(np.signbit(again), np.signbit(numbers))
    assert np.array_equal(rounded(numbers, bits), again)
    normal = np.abs(numbers) > 1e-37
    assert np.all(np.abs(again - numbers)[normal] <= 2.0 ** -(bits + 1) * np.abs(numbers)[normal])


def test_all_bits_keep_what_is_no_number():
    odd = np.array([np.nan, np.inf, -np.inf, 1e-45, -1e-40, np.finfo(np.float32).max], dtype=np.float32)
    assert unpacked(packed(odd, 23), 23, odd.shape).tobytes() == odd.tobytes()
    assert unpacked(packed(odd[:0], 7), 7, (2, 0)).shape == (2, 0)


@pytest.mark.parametrize("bits", [4, 7, 12])
def test_a_candidate_comes_back_as_a_slow_derivation_says(tmp_path, bits):
    original = fakes.trajectory(seed=1, num_snapshots=3)
    store = fakes.store(tmp_path / "store", (1, original, 0.75))
    add_part(tmp_path / "set", store, bits, Limits())
    stored, found = store.read(candidate(1).id), SnapshotSet.open(tmp_path / "set").read(candidate(1).id)
    for snapshot, modality in np.ndindex(3, 2):
        wanted = fakes.expected(original.values[snapshot, modality], bits)
        np.testing.assert_allclose(found.trajectory.values[snapshot, modality].numpy(), wanted, rtol=1e-6, atol=0)
    assert torch.equal(found.trajectory.units, original.units)
    assert torch.equal(found.trajectory.counts, original.counts)
    assert (found.trajectory.layer_names, found.trajectory.every) == (original.layer_names, original.every)
    assert (found.candidate, found.curve, found.versions) == (stored.candidate, stored.curve, stored.versions)


def test_the_error_of_every_statistic_is_that_of_the_rounding(tmp_path):
    original = fakes.trajectory(seed=2, num_snapshots=2)
    release(tmp_path, fakes.store(tmp_path / "store", (2, original)))
    exact, found = original.values, SnapshotSet.open(tmp_path / "set").read(candidate(2).id).trajectory.values
    assert (found - exact).abs().le(1.001 * 2.0 ** -(BITS + 1) * exact.abs()).all()
    assert found.ne(exact).any()


def test_the_fan_in_is_read_off_the_statistics():
    kept, fan_in = reduced(fakes.trajectory(seed=3).values.numpy(), fakes.UNITS)
    assert fan_in == tuple(d for _, d in fakes.SHAPES)
    assert tuple(kept) == KEPT


def spoil_one(value):
    return lambda gradients: gradients[2][5].view(-1)[7:9].fill_(value)


@pytest.mark.parametrize(
    "change",
    [
        spoil_one(float("nan")),  # left out: d is no longer the fan-in
        spoil_one(float("inf")),
        spoil_one(3e38),  # the variance saturates
        lambda gradients: gradients[2].mul_(1e-18),  # the variance is below the normal range
    ],
    ids=["nan", "inf", "saturated", "subnormal"],
)
def test_where_the_relations_do_not_hold_every_bit_is_kept(tmp_path, change):
    original = fakes.trajectory(seed=4, num_snapshots=2, change=change)
    release(tmp_path, fakes.store(tmp_path / "store", (4, original)))
    found = SnapshotSet.open(tmp_path / "set").read(candidate(4).id).trajectory
    assert found.values.numpy().tobytes() == original.values.numpy().tobytes()
    assert torch.equal(found.counts, original.counts)


def test_statistics_of_no_tensor_at_all_are_kept_too(tmp_path):
    original = unrelated_trajectory(seed=5, num_snapshots=2)
    release(tmp_path, fakes.store(tmp_path / "store", (5, original)))
    assert torch.equal(SnapshotSet.open(tmp_path / "set").read(candidate(5).id).trajectory.values, original.values)


def test_adding_a_part_touches_nothing_that_exists(tmp_path):
    store = fakes.filled(tmp_path / "store", range(3))
    assert release(tmp_path, store).num_candidates == 3
    before = fakes.hashes(tmp_path / "set")
    times = {path: path.stat().st_mtime_ns for path in (tmp_path / "set").iterdir()}
    fakes.filled(tmp_path / "store", range(3, 5))
    new = release(tmp_path, store)
    assert (new.path.name, new.num_candidates, new.num_waiting) == ("part-0001.json", 2, 0)
    after = fakes.hashes(tmp_path / "set")
    assert after.keys() - before.keys() == {"part-0001.json", "part-0001.bin"}
    assert before.items() <= after.items()
    assert all(path.stat().st_mtime_ns == time for path, time in times.items())
    assert SnapshotSet.open(tmp_path / "set").complete() == store.complete()
    assert release(tmp_path, store).path is None
    assert fakes.hashes(tmp_path / "set") == after


def test_a_part_takes_at_most_and_at_least_so_many(tmp_path):
    store = fakes.filled(tmp_path / "store", range(5))
    assert release(tmp_path, store, at_least=6).path is None
    new = release(tmp_path, store, at_most=3)
    assert (new.num_candidates, new.num_waiting) == (3, 2)
    assert release(tmp_path, store, at_most=3).num_candidates == 2


def test_the_longest_version_counts(tmp_path):
    fakes.filled(tmp_path / "short", [0, 1], num_snapshots=1)
    release(tmp_path, SnapshotStore.open(tmp_path / "short"))
    longer = fakes.filled(tmp_path / "long", [0], num_snapshots=3)
    assert release(tmp_path, longer).num_candidates == 1
    released = SnapshotSet.open(tmp_path / "set")
    assert released.complete() == dict(sorted({candidate(0).id: 3, candidate(1).id: 1}.items()))
    assert len(released.read(candidate(0).id).trajectory) == 3
    assert release(tmp_path, SnapshotStore.open(tmp_path / "short")).path is None  # a shorter one is nothing new
    assert released.has(candidate(0).id, 3)
    assert not released.has(candidate(0).id, 4)
    assert not released.has(candidate(0).id, 1, to_the_end=True)
    assert not released.has(candidate(7).id, 1)


def test_a_candidate_that_gained_a_final_accuracy_is_released_again_and_counted_once(tmp_path):
    release(tmp_path, fakes.filled(tmp_path / "store", [0, 1], num_snapshots=2))
    before = fakes.hashes(tmp_path / "set")
    store = fakes.store(tmp_path / "store", (0, fakes.trajectory(0, 2), 0.75))
    new = release(tmp_path, store)
    assert (new.path.name, new.num_candidates, new.num_waiting) == ("part-0001.json", 1, 0)
    assert before.items() <= fakes.hashes(tmp_path / "set").items()
    released = SnapshotSet.open(tmp_path / "set")
    assert released.complete() == store.complete()
    accuracy = {candidate(0).id: 0.75, candidate(1).id: None}
    assert {i: released.read(i).curve.final_accuracy for i in released.complete()} == accuracy
    assert {i: released.final_accuracy(i) for i in released.complete()} == accuracy
    assert released.has(candidate(0).id, 2, to_the_end=True)
    assert release(tmp_path, store).path is None


def test_a_final_accuracy_does_not_replace_more_snapshots(tmp_path):
    release(tmp_path, fakes.filled(tmp_path / "long", [0], num_snapshots=3))
    shorter = fakes.store(tmp_path / "short", (0, fakes.trajectory(0, 2), 0.75))
    assert release(tmp_path, shorter).path is None


def test_a_final_accuracy_is_that_of_whichever_part_knows_it(tmp_path):
    release(tmp_path, fakes.store(tmp_path / "short", (0, fakes.trajectory(0, 1), 0.75)))
    release(tmp_path, fakes.filled(tmp_path / "long", [0, 1], num_snapshots=3))
    released, wanted = SnapshotSet.open(tmp_path / "set"), candidate(0).id
    assert released.complete()[wanted] == 3
    assert released.final_accuracy(wanted) == released.read(wanted).curve.final_accuracy == 0.75
    assert released.final_accuracy(candidate(1).id) is None
    assert released.has(wanted, 3, to_the_end=True)
    with pytest.raises(StoreError, match="holds no candidate"):
        released.final_accuracy(candidate(7).id)


def test_whether_a_damaged_candidate_gained_an_accuracy_is_not_guessed(tmp_path):
    store = fakes.filled(tmp_path / "store", [0, 1])
    release(tmp_path, store)
    (store.folder(candidate(1).id) / "zarr.json").write_text("{")
    new = release(tmp_path, store)
    assert (new.path, new.num_waiting) == (None, 1)
    assert candidate(1).id in new.damaged[0]


def test_a_set_is_read_like_the_store_it_came_from_and_not_written_to(tmp_path):
    store = fakes.filled(tmp_path / "store", range(3), num_snapshots=2)
    release(tmp_path, store)
    released = open_snapshots(tmp_path / "set")
    before = fakes.hashes(tmp_path / "set")
    rows, originals = refresh_index(released, full=True).rows, refresh_index(store).rows
    for name in ("id", "status", "arch_str", "seed", "dataset", "snapshots", "layers", "final_accuracy", "counts"):
        assert [getattr(row, name) for row in rows] == [getattr(row, name) for row in originals]
    assert refresh_index(released).path is None
    assert fakes.hashes(tmp_path / "set") == before
    assert sum(row.bytes for row in rows) == (tmp_path / "set/part-0000.bin").stat().st_size
    assert released.failures() == {}
    assert released.content_sha256(rows[0].id) == released.record(rows[0].id).content_sha256 == rows[0].content_sha256
    with pytest.raises(StoreError, match="holds no candidate 0123"):
        released.read("0123")


def test_a_part_that_is_too_large_is_refused_with_the_number_that_fits(tmp_path):
    store = fakes.filled(tmp_path / "store", range(4))
    size = sum(map(SnapshotSet.num_bytes_in_all.fget, [_released(tmp_path / "sizes", store)]))
    with pytest.raises(StoreError, match=r"A part would be .* MB, more than the .* MB .* release.at_most=2 fits"):
        release(tmp_path, store, part_mb=0.6 * size / 1e6)
    assert not list((tmp_path / "set").glob("part-*"))
    assert release(tmp_path, store, at_most=2, part_mb=0.6 * size / 1e6).num_candidates == 2
    with pytest.raises(StoreError, match=r"The set would be .* MB, more than"):
        release(tmp_path, store, set_mb=0.6 * size / 1e6)


def test_sets_that_lie_beside_each_other_are_counted_together(tmp_path):
    store = fakes.filled(tmp_path / "store", range(4))
    size = _released(tmp_path / "other", store).num_bytes_in_all
    with pytest.raises(StoreError, match=rf"The sets in {tmp_path} would be .*, more than .*at_most=2 fits"):
        release(tmp_path, store, all_mb=1.6 * size / 1e6)
    assert release(tmp_path, store, all_mb=2 * size / 1e6).num_candidates == 4


def _released(root, store):
    add_part(root, store, BITS, Limits())
    return SnapshotSet.open(root)


def test_another_setting_and_other_bits_are_refused(tmp_path):
    release(tmp_path, fakes.filled(tmp_path / "store", [0]))
    other = SnapshotStore.create(tmp_path / "other", setting(every=20))
    with pytest.raises(StoreError, match=r"belongs to another setting .store ≠ set.: every: 20 ≠ 10"):
        release(tmp_path, other)
    with pytest.raises(StoreError, match=r"keeps 7 mantissa bits, not 9; set release.mantissa_bits=7"):
        add_part(tmp_path / "set", SnapshotStore.open(tmp_path / "store"), 9, Limits())


def test_a_damaged_candidate_of_the_store_is_left_out_and_named(tmp_path):
    store = fakes.filled(tmp_path / "store", range(3))
    (store.folder(candidate(1).id) / "values/c.0.0.0").unlink()
    new = release(tmp_path, store)
    assert new.num_candidates == 2
    assert candidate(1).id in new.damaged[0]
    assert candidate(1).id not in SnapshotSet.open(tmp_path / "set").complete()
    again = release(tmp_path, store)
    assert (again.path, again.num_waiting, len(again.damaged)) == (None, 1, 1)
