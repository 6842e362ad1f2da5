"""The snapshot store: maps per second into the autoencoder, and what a map costs on disk."""

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median

import torch
from torch import Tensor
from torch.utils.data import DataLoader

from benchmarks.harness import Measurement, at_most, paired
from benchmarks.linked_store import filled_store
from benchmarks.references.reading_plain import PlainMaps
from data_modules.feature_maps import FeatureMapDataModule
from nap2.schema import MAP_SHAPE, MAX_SNAPSHOTS, MODALITIES
from nap2.snapshots.layers import recorded_layers
from nap2.snapshots.layout import num_entries
from nap2.snapshots.store import SnapshotStore
from nap2.spaces import SPACES

BATCH = 32


def measurements(quick: bool) -> list[Measurement]:
    """Rows on a store of 23 snapshots of random NAS-Bench-201 networks at full size."""
    with tempfile.TemporaryDirectory() as folder:
        store = filled_store(Path(folder) / "store", num_candidates=6 if quick else 16)
        return [
            *_reading(store, Path(folder) / "cache", rounds=3 if quick else 7),
            _first_batch(store),
            _share_of_dense(store),
            _share_in_memory(),
        ]


def _reading(store: SnapshotStore, cache: Path, rounds: int) -> list[Measurement]:
    ids = list(store.complete())
    num_maps = len(ids) * MAX_SNAPSHOTS
    cached = _module(store, ids, cache)
    cached.fill_cache()
    plain = PlainMaps([store.folder(i) for i in ids], MAX_SNAPSHOTS, MODALITIES.index("weights"))
    plain_batches = _endless(DataLoader(plain, BATCH, shuffle=True))
    cached_batches = _endless(cached.train_dataloader())
    ours, theirs = paired(lambda: next(cached_batches), lambda: next(plain_batches), rounds)
    epoch_s, plain_s = paired(
        lambda: list(_module(store, ids, None).train_dataloader()), lambda: next(plain_batches), rounds
    )
    batches = num_maps / BATCH
    note = "CPU time on one thread; the reference opens the candidate for each map"
    rate = BATCH / median(ours)
    return [
        Measurement("maps from the cache", ours, theirs, goal=10, note=note),
        Measurement("maps per second from the cache", (), (), 2000, unit="maps/s", value=rate, note="one thread"),
        Measurement("maps from the store, no cache", [s / batches for s in epoch_s], plain_s, goal=3, note=note),
    ]


def _first_batch(store: SnapshotStore) -> Measurement:
    started = time.process_time()
    next(iter(_module(store, list(store.complete()), None).train_dataloader()))
    note = "opening the store included; every candidate of the batch is read whole and checked"
    return at_most("first batch without a cache", time.process_time() - started, 5.0, "s", note=note)


def _share_of_dense(store: SnapshotStore) -> Measurement:
    dense = MAX_SNAPSHOTS * len(MODALITIES) * 4 * torch.Size(MAP_SHAPE).numel()
    sizes = [store.num_bytes(i) for i in store.complete()]
    note = "whole candidate folders (curves and metadata included) against dense float32 maps, noise as content"
    return at_most("bytes on disk", 100 * sum(sizes) / len(sizes) / dense, 35.0, "% of dense", note=note)


def _share_in_memory() -> Measurement:
    """Exact: what a map holds depends only on how many of a cell's edges are convolutions."""
    names = SPACES["nasbench201"].arch_strings()
    by_convolutions = {name.count("nor_conv"): name for name in names}
    shares = {
        number: num_entries([layer.units for layer in recorded_layers(SPACES["nasbench201"].build(name))])
        / torch.Size(MAP_SHAPE).numel()
        for number, name in by_convolutions.items()
    }
    mean = sum(shares[name.count("nor_conv")] for name in names) / len(names)
    note = f"ragged against dense, mean over {len(names):,} networks; from {min(shares.values()):.0%} to "
    return at_most(
        "values in memory", 100 * mean, 35.0, "% of dense", note=note + f"{max(shares.values()):.0%} of a map"
    )


def _module(store: SnapshotStore, ids: list[str], cache: Path | None) -> FeatureMapDataModule:
    return FeatureMapDataModule(store.root, {"train": ids, "val": ids[:1]}, "weights", BATCH, cache)


def _endless(loader: DataLoader[Tensor]) -> Iterator[Tensor]:
    while True:
        yield from loader
