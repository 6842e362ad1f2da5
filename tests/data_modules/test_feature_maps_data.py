import fcntl
import logging
import zlib

import fakes_maps as fakes
import pytest
import torch

from data_modules import map_cache
from data_modules.feature_maps import FeatureMapDataModule
from data_modules.map_order import MapOrder
from nap2.errors import ConfigError, CorruptSnapshotError, StoreError
from nap2.feature_maps import encoder_input, log_normalise

LENGTHS = [3, 5, 1, 4, 5, 2]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return fakes.make_store(tmp_path_factory.mktemp("maps") / "store", LENGTHS)


def module(made, cache_dir=None, **changes):
    store, ids = made
    options = {"modality": "gradients", "batch_size": 4, "seed": 1, "cache_dir": cache_dir, "block": 2}
    return FeatureMapDataModule(store.root, {"train": ids[:4], "val": ids[4:]}, **{**options, **changes})


def epoch(data, number=0, split="train"):
    loader = getattr(data, f"{split}_dataloader")()
    loader.sampler.set_epoch(number)
    return list(loader)


def expected_maps(seeds, modality_index=1, num_snapshots=23):
    maps = [
        encoder_input(t.values[:num_snapshots, modality_index], t.units)
        for t in (fakes.trajectory(seed, LENGTHS[seed]) for seed in seeds)
    ]
    return torch.cat(maps)


def in_any_order(maps):
    return maps[torch.argsort(maps.flatten(1).double() @ torch.linspace(1, 2, 78_000).double())]


@pytest.mark.parametrize("cached", [False, True])
def test_an_epoch_shows_every_map_once_as_the_encoder_wants_it(made, tmp_path, cached):
    data = module(made, tmp_path if cached else None)
    for number in range(2):
        batches = epoch(data, number)
        assert [tuple(b.shape) for b in batches] == [(4, 12, 65, 100)] * 2 + [(5, 12, 65, 100)]
        assert torch.equal(in_any_order(torch.cat(batches)), in_any_order(expected_maps(range(4))))
    assert torch.equal(torch.cat(epoch(data, split="val")), expected_maps([4, 5]))


def test_the_other_modality_and_shorter_trajectories(made):
    data = module(made, modality="weights", num_snapshots=2)
    assert torch.equal(torch.cat(epoch(data, split="val")), expected_maps([4, 5], 0, 2))


def test_the_order_depends_on_seed_and_epoch_alone(made, tmp_path):
    def show(number, **changes):
        return torch.cat(epoch(module(made, **changes), number))

    reference = show(0)
    cached = module(made, tmp_path)
    assert torch.equal(torch.cat(epoch(cached, 0)), reference)  # while the cache grows
    epoch(cached, split="val")
    assert not cached.maps.cache.is_building
    assert torch.equal(torch.cat(epoch(cached, 0)), reference)  # from the cache
    assert torch.equal(show(0, cache_dir=tmp_path), reference)  # from the cache, opened anew
    assert torch.equal(show(1), torch.cat(epoch(cached, 1)))
    assert not torch.equal(show(1), reference)
    assert not torch.equal(show(0, seed=2), reference)


def test_candidates_and_snapshots_are_mixed():
    order = torch.cat(list(MapOrder([23] * 192, 32, seed=0)))
    assert len(order.unique(dim=0)) == 23 * 192
    batches = order.split(32)
    assert min(len(batch[:, 0].unique()) for batch in batches[:-1]) >= 15  # candidates in a batch
    assert order[: 23 * 64, 0].unique().tolist() != list(range(64))  # blocks are random too
    in_order = torch.cat(list(MapOrder([2, 1], 32, seed=None)))
    assert in_order.tolist() == [[0, 0], [0, 1], [1, 0]]


@pytest.mark.parametrize("total", range(1, 14))
def test_no_batch_holds_a_single_map_unless_there_is_no_other(total):
    order = MapOrder([1] * total, batch_size=4, seed=0, block=3)
    sizes = [len(batch) for batch in order]
    assert sum(sizes) == total
    assert len(sizes) == len(order)
    assert total == 1 or min(sizes) > 1


def test_a_second_epoch_reads_nothing_from_the_store(made, tmp_path):
    data = module(made, tmp_path)
    epoch(data)
    epoch(data, split="val")
    assert data.maps.num_decoded == len(LENGTHS)
    epoch(data, 1)
    again = module(made, tmp_path)
    epoch(again)
    assert (data.maps.num_decoded, again.maps.num_decoded) == (len(LENGTHS), 0)


def test_an_epoch_without_cache_decodes_every_candidate_once(made):
    data = module(made)
    epoch(data)
    assert data.maps.num_decoded == 4
    assert len(data.maps.kept) <= 2 + 4  # block + batch


def test_the_cache_can_be_filled_at_once(made, tmp_path):
    data = module(made, tmp_path)
    data.fill_cache()
    assert not data.maps.cache.is_building
    assert data.maps.num_decoded == len(LENGTHS)


def test_a_cache_stays_within_its_bound(made, tmp_path):
    whole = module(made, tmp_path / "whole")
    whole.fill_cache()
    bound = whole.maps.cache.path.stat().st_size / 2
    data = module(made, tmp_path / "half", cache_gb=bound / 1e9)
    data.fill_cache()
    cache = data.maps.cache
    assert 0 < sum(i in cache for i in made[1]) < len(LENGTHS)
    assert torch.equal(torch.cat(epoch(data)), torch.cat(epoch(whole)))
    other = module(made, tmp_path / "half", cache_gb=bound / 1e9, modality="weights")
    other.fill_cache()  # needs the room
    assert not cache.path.exists()
    assert sum(p.stat().st_size for p in (tmp_path / "half").iterdir()) <= bound + 4096  # and a small index
    assert torch.equal(torch.cat(epoch(data)), torch.cat(epoch(whole)))  # who reads it still can


def test_a_changed_store_has_another_cache(tmp_path):
    made = fakes.make_store(tmp_path / "store", LENGTHS)
    module(made, tmp_path / "cache").fill_cache()
    fakes.add(made[0], 2, num_snapshots=6)
    data = module(made, tmp_path / "cache")
    assert data.maps is None
    assert len(torch.cat(epoch(data))) == sum(LENGTHS[:4]) + 5
    assert data.maps.num_decoded == 4


def test_a_copy_read_in_place_of_a_damaged_one_is_not_cached_under_its_name(tmp_path):
    exact, ids = fakes.make_store(tmp_path / "exact", [2, 2, 2, 2, 2, 2])
    other = fakes.SnapshotStore.create(tmp_path / "other", fakes.SETTING)
    with other.claim(fakes.candidate(1), 2) as writer:
        writer.finish(fakes.trajectory(101, 2), fakes.Curve([1.0], [0.5] * 2, [1.0] * 2))
    path = exact.folder(ids[1]) / "values" / "c.0.0.0"
    intact = path.read_bytes()

    def first_map():
        split = {"train": ids[:4], "val": ids[4:]}
        data = FeatureMapDataModule([exact.root, other.root], split, "weights", 4, cache_dir=tmp_path / "cache")
        data.fill_cache()
        return data.maps.entries(ids[1], 0)[0].tolist()

    def mapped(seed):
        return log_normalise(fakes.trajectory(seed, 2).values[0, 0]).tolist()

    path.write_bytes(intact[:-5])
    assert first_map() == mapped(101)
    path.write_bytes(intact)  # restored from a backup
    assert first_map() == mapped(1)


def test_a_shorter_copy_read_in_place_of_a_damaged_one_is_shown_as_far_as_it_goes(tmp_path):
    exact, ids = fakes.make_store(tmp_path / "exact", [2, 2, 2, 2, 2, 2])
    other = fakes.SnapshotStore.create(tmp_path / "other", fakes.SETTING)
    with other.claim(fakes.candidate(1), 1) as writer:
        writer.finish(fakes.trajectory(1, 1), fakes.Curve([1.0], [0.5], [1.0]))
    path = exact.folder(ids[1]) / "values" / "c.0.0.0"
    path.write_bytes(path.read_bytes()[:-5])
    roots, split = [exact.root, other.root], {"train": ids[:4], "val": ids[4:]}
    data = FeatureMapDataModule(roots, split, "weights", 4, lengths={ids[1]: 1})
    assert len(torch.cat(epoch(data))) == 7


def test_of_two_that_fill_one_cache_at_once_one_does(made, tmp_path):
    first, second = module(made, tmp_path), module(made, tmp_path)
    first.setup()
    second.setup()
    assert first.maps.cache.is_building
    assert second.maps.cache is None
    assert torch.equal(torch.cat(epoch(second)), torch.cat(epoch(first)))
    first.fill_cache()
    third = module(made, tmp_path)
    epoch(third)
    assert third.maps.num_decoded == 0


def test_what_a_killed_process_left_is_not_believed(made, tmp_path):
    reference = torch.cat(epoch(module(made)))
    data = module(made, tmp_path)
    data.fill_cache()
    path = data.maps.cache.path
    content = path.read_bytes()
    path.unlink()
    path.with_suffix(".building").write_bytes(content[:100])
    (tmp_path / "weights-0.building").write_bytes(b"of another key")
    again = module(made, tmp_path)
    assert torch.equal(torch.cat(epoch(again)), reference)
    assert again.maps.num_decoded == 4
    assert not (tmp_path / "weights-0.building").exists()


@pytest.mark.parametrize("where", ["entries", "index", "tail", "cut"])
def test_a_damaged_cache_is_not_believed(made, tmp_path, where, caplog):
    reference = torch.cat(epoch(module(made)))
    data = module(made, tmp_path)
    data.fill_cache()
    path = data.maps.cache.path
    content = bytearray(path.read_bytes())
    if where == "cut":
        del content[-40:]
    else:
        content[{"entries": 50, "index": -100, "tail": -3}[where]] ^= 16
    path.write_bytes(content)
    with caplog.at_level(logging.WARNING):
        again = module(made, tmp_path)
        assert torch.equal(in_any_order(torch.cat(epoch(again))), in_any_order(reference))
        epoch(again, split="val")
    assert again.maps.num_decoded == (1 if where == "entries" else len(LENGTHS))
    assert ("is damaged" in caplog.text) == (where == "entries")


@pytest.mark.parametrize("at", ["_write", "os.fsync"])
def test_a_full_disk_costs_the_cache_and_nothing_else(made, tmp_path, monkeypatch, caplog, at):
    def refuse(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(f"data_modules.map_cache.{at}", refuse)
    reference = torch.cat(epoch(module(made)))
    with caplog.at_level(logging.WARNING):
        data = module(made, tmp_path)
        assert torch.equal(torch.cat(epoch(data)), reference)
        data.fill_cache()
    assert "No space left on device" in caplog.text
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_candidate_stops_the_epoch(tmp_path):
    made = fakes.make_store(tmp_path / "store", [2, 2])
    store, ids = made
    path = store.folder(ids[0]) / "values" / "c.0.0.0"
    path.write_bytes(path.read_bytes()[:-5])
    data = FeatureMapDataModule(store.root, {"train": ids, "val": ids}, "weights", 4)
    with pytest.raises(CorruptSnapshotError, match="is damaged"):
        epoch(data)


def test_what_cannot_be_is_refused(made):
    store, _ = made
    with pytest.raises(ConfigError, match="weights and gradients, not of 'biases'"):
        module(made, modality="biases")
    with pytest.raises(ConfigError, match=r"batch_size=1, .*use at least 2 maps in a batch"):
        module(made, batch_size=1)
    unknown = FeatureMapDataModule(store.root, {"train": ["f" * 16], "val": []}, "weights", 4)
    with pytest.raises(StoreError, match=r"lacks 1 of 1 candidates of the split .*stage=snapshot"):
        unknown.setup()


def test_checksums_are_those_of_the_entries(made, tmp_path):
    data = module(made, tmp_path)
    data.fill_cache()
    cache = data.maps.cache
    entries, units = cache.entries(made[1][1], 2)
    assert units == fakes.SHAPES[1]
    assert zlib.crc32(entries.data) == cache._places[made[1][1]].checksums[2]
    assert map_cache.open_cache(tmp_path, "gradients", "unknown", 1.0).is_building


def test_the_trainer_tells_the_order_which_epoch_it_is(made):
    from lightning.pytorch import LightningModule, Trainer

    class Listener(LightningModule):
        def __init__(self):
            super().__init__()
            self.shown, self.layer = {}, torch.nn.Linear(1, 1)

        def training_step(self, batch, batch_idx):
            self.shown.setdefault(self.current_epoch, []).append(batch)
            return self.layer(batch.mean()[None]).sum()

        def configure_optimizers(self):
            return torch.optim.SGD(self.parameters(), lr=0.1)

    listener = Listener()
    quiet = {
        "logger": False,
        "enable_checkpointing": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
    }
    Trainer(accelerator="cpu", max_epochs=2, **quiet).fit(listener, datamodule=module(made))
    for number in range(2):
        assert torch.equal(torch.cat(listener.shown[number]), torch.cat(epoch(module(made), number)))


def test_hidden_statistics_are_zero_and_the_others_as_ever(made):
    kept = torch.zeros(12, dtype=torch.bool)
    kept[[2, 9]] = True
    shown, whole = (torch.cat(epoch(module(made, **hide))) for hide in ({"statistics": kept}, {}))
    assert torch.equal(shown, whole * kept[:, None, None])
    assert not torch.equal(shown, whole)


def test_each_map_of_a_candidate_is_checked_when_it_is_first_read(made, tmp_path, monkeypatch):
    module(made, tmp_path).fill_cache()
    again = module(made, tmp_path)
    again.setup()
    cache, candidate_id = again.maps.cache, made[1][1]
    entries, _ = cache.entries(candidate_id, 0)
    sums = []
    monkeypatch.setattr(zlib, "crc32", lambda data: sums.append(data.nbytes) or 0)
    assert torch.equal(torch.from_numpy(cache.entries(candidate_id, 0)[0]), torch.from_numpy(entries))
    assert sums == []
    assert cache.entries(candidate_id, 2) is None  # its checksum is not 0
    assert sums == [entries.nbytes]


def test_a_cache_needs_no_preadv(made, tmp_path, monkeypatch):
    """A Python that was built for an older macOS has none."""
    monkeypatch.delattr("os.preadv", raising=False)
    data = module(made, tmp_path)
    data.fill_cache()
    reference = torch.cat(epoch(module(made)))
    assert torch.equal(in_any_order(torch.cat(epoch(data))), in_any_order(reference))


def test_what_a_killed_process_left_goes_over_nfs_too(tmp_path, monkeypatch):
    """There `flock` is a lock of bytes, which only who may write can hold."""
    (tmp_path / "weights-0.building").write_bytes(b"of another key")
    monkeypatch.setattr("data_modules.map_cache.fcntl.flock", fcntl.lockf)
    assert map_cache.open_cache(tmp_path, "gradients", "unknown", 1.0).is_building
    assert [path.name for path in tmp_path.iterdir()] == ["gradients-unknown.building"]
