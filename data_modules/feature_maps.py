"""Feature maps for the autoencoders, in random order at bounded memory, straight from the snapshot store.

The first epoch reads the store (and fills a bounded cache, if one is asked for); later ones read the cache. What is
shown, and when, does not depend on which of the two it came from.
"""

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from lightning.pytorch import LightningDataModule
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from data_modules.map_cache import Entries, MapCache, cache_key, open_cache
from data_modules.map_order import BLOCK, MapOrder
from nap2.errors import ConfigError, StoreError
from nap2.feature_maps import log_normalise
from nap2.schema import MAX_LAYERS, MAX_SNAPSHOTS, MAX_VALUES, MODALITIES, NUM_STATISTICS
from nap2.snapshots.layout import CACHED, dense_index
from nap2.snapshots.reader import SnapshotReader, open_joint


class FeatureMapDataModule(LightningDataModule):
    """Batches float32 `[B, 12, 65, 100]` of log-normalised maps, one modality, one map per (candidate, snapshot).

    Nothing is fitted. Training order is random and a pure function of (seed, epoch); validation order is fixed.

    Args:
        store_roots: a snapshot store or a released set, or several to read as one, of any datasets.
        ids_by_split: candidate ids of `train` and `val`.
        modality: `weights` or `gradients`.
        batch_size: maps of a batch, at least 2.
        cache_dir: where to keep decoded maps; None to read the store in every epoch.
        seed: of the training order.
        num_snapshots: only the first so many of each candidate.
        cache_gb: bound of all caches in `cache_dir` together; candidates beyond it are read from the store.
        statistics: bool `[12]`, the others are shown as zeros; None: all are shown.
        block: candidates decoded at once where there is no cache (the memory this takes is flat in their number).
        lengths: snapshots of candidates by id, as far as they are known to be intact; those that are stored otherwise.
    """

    def __init__(
        self,
        store_roots: Path | str | Sequence[Path | str],
        ids_by_split: Mapping[str, Sequence[str]],
        modality: str,
        batch_size: int,
        cache_dir: Path | str | None = None,
        seed: int = 0,
        num_snapshots: int = MAX_SNAPSHOTS,
        cache_gb: float = 8.0,
        statistics: Tensor | None = None,
        block: int = BLOCK,
        lengths: Mapping[str, int] = MappingProxyType({}),
    ) -> None:
        super().__init__()
        if modality not in MODALITIES:
            raise ConfigError(f"There are maps of {' and '.join(MODALITIES)}, not of {modality!r}.")
        if batch_size < 2 or num_snapshots < 1 or block < 1:
            raise ConfigError(
                f"batch_size={batch_size}, num_snapshots={num_snapshots}, block={block}: too small; use at least 2 "
                "maps in a batch, over which an autoencoder normalises, and at least 1 of the others."
            )
        roots = [store_roots] if isinstance(store_roots, Path | str) else store_roots
        self.store_roots, self.ids_by_split, self.modality = tuple(map(Path, roots)), ids_by_split, modality
        self.batch_size, self.seed, self.block = batch_size, seed, block
        self.num_snapshots, self.cache_gb, self.statistics = num_snapshots, cache_gb, statistics
        self.cache_dir, self.known = None if cache_dir is None else Path(cache_dir), lengths
        self.maps: MapReader | None = None

    def setup(self, stage: str | None = None) -> None:
        """Find the candidates; no map is read yet.

        Raises:
            StoreError: if there is no store, or it lacks candidates of the split.
        """
        if self.maps is not None:
            return
        store = open_joint(self.store_roots, same_setting=False)
        self.lengths = _lengths(store, self.ids_by_split, self.known, self.num_snapshots)
        self.maps = MapReader(store, self.modality, self.lengths, self.block + self.batch_size, self._cache(store))

    def train_dataloader(self) -> DataLoader[Tensor]:
        """Batches in a new random order every epoch."""
        return self._loader("train", self.seed)

    def val_dataloader(self) -> DataLoader[Tensor]:
        """Batches in the order of the split."""
        return self._loader("val", None)

    def fill_cache(self) -> None:
        """Read now what is not cached yet, instead of during the first epoch."""
        self.setup()
        assert self.maps is not None
        for candidate_id in self.lengths:
            self.maps.entries(candidate_id, 0)

    def _loader(self, split: str, seed: int | None) -> DataLoader[Tensor]:
        self.setup()
        assert self.maps is not None
        ids = list(self.ids_by_split[split])
        order = MapOrder([self.lengths[i] for i in ids], self.batch_size, seed, self.block)
        return DataLoader(_DenseMaps(self.maps, ids, self.statistics), sampler=order, batch_size=None)

    def _cache(self, store: SnapshotReader) -> MapCache | None:
        if self.cache_dir is None or self.cache_gb <= 0:
            return None
        contents = ((i, k, store.content_sha256(i)) for i, k in self.lengths.items())
        return open_cache(self.cache_dir, self.modality, cache_key(self.modality, contents), self.cache_gb)


class MapReader:
    """Log-normalised ragged maps of one modality, from the cache where they are in it, else from the store.

    Args:
        store: where they come from; every byte read is checked.
        modality: which half of a snapshot.
        lengths: snapshots used, by candidate id.
        num_kept: decoded candidates held in memory, the most recently used ones.
        cache: filled while reading, if it still grows.
    """

    def __init__(
        self, store: SnapshotReader, modality: str, lengths: Mapping[str, int], num_kept: int, cache: MapCache | None
    ) -> None:
        self.store, self.modality_index, self.lengths = store, MODALITIES.index(modality), lengths
        self.num_kept, self.cache = num_kept, cache
        self.kept: OrderedDict[str, tuple[Entries, tuple[int, ...]]] = OrderedDict()
        self.num_decoded = 0  # candidates read from the store so far
        self.unseen = set(lengths) if cache is not None and cache.is_building else set()

    def entries(self, candidate_id: str, snapshot: int) -> tuple[Entries, tuple[int, ...]]:
        """Float32 `[N]` of one map and the units of its layers."""
        if self.cache is not None and (cached := self.cache.entries(candidate_id, snapshot)) is not None:
            return cached
        if candidate_id not in self.kept:
            self.kept[candidate_id] = self._decoded(candidate_id)
            if len(self.kept) > self.num_kept:
                self.kept.popitem(last=False)
        self.kept.move_to_end(candidate_id)
        maps, units = self.kept[candidate_id]
        return maps[snapshot], units

    def _decoded(self, candidate_id: str) -> tuple[Entries, tuple[int, ...]]:
        record = self.store.record(candidate_id)
        arrays = record.arrays
        self.num_decoded += 1
        raw = torch.from_numpy(arrays["values"][: self.lengths[candidate_id], self.modality_index])
        maps: Entries = np.ascontiguousarray(log_normalise(raw).numpy())
        units = tuple(arrays["units"].tolist())
        # A copy that is read in place of a damaged one is not kept under the name of the other's content.
        is_named = candidate_id in self.unseen and record.content_sha256 == self.store.content_sha256(candidate_id)
        if self.cache is not None and is_named:
            self.cache.add(candidate_id, maps, units)
            self.unseen.discard(candidate_id)
            if not self.unseen:
                self.cache.finish()
        return maps, units


class _DenseMaps(Dataset[Tensor]):
    """A whole batch per item: the item's index is `[B, 2]` of `MapOrder`."""

    def __init__(self, maps: MapReader, ids: list[str], statistics: Tensor | None) -> None:
        self.maps, self.ids = maps, ids
        self.hidden = [] if statistics is None else (~statistics).nonzero().flatten().tolist()

    def __getitem__(self, batch: Tensor) -> Tensor:
        dense = np.zeros((len(batch), NUM_STATISTICS * MAX_LAYERS * MAX_VALUES), dtype=np.float32)
        for row, (candidate, snapshot) in zip(dense, batch.tolist(), strict=True):
            entries, units = self.maps.entries(self.ids[candidate], snapshot)
            row[_channels_first_index(units)] = entries
        shown = torch.from_numpy(dense).view(-1, NUM_STATISTICS, MAX_LAYERS, MAX_VALUES)  # [B, F, L, V]
        shown[:, self.hidden] = 0.0
        return shown


@lru_cache(maxsize=CACHED)
def _channels_first_index(units: tuple[int, ...]) -> np.ndarray[Any, np.dtype[np.intp]]:
    """Where each ragged entry lies in a flattened `[F, L, V]` map."""
    place, statistic = dense_index(units) // NUM_STATISTICS, dense_index(units) % NUM_STATISTICS
    index: np.ndarray[Any, np.dtype[np.intp]] = (statistic * (MAX_LAYERS * MAX_VALUES) + place).numpy()
    return index


def _lengths(
    store: SnapshotReader, ids_by_split: Mapping[str, Sequence[str]], known: Mapping[str, int], num_snapshots: int
) -> dict[str, int]:
    complete = store.complete()
    ids = sorted({i for split_ids in ids_by_split.values() for i in split_ids})
    missing = [i for i in ids if i not in complete]
    if missing or not ids:
        what = f"lacks {len(missing)} of {len(ids)} candidates of the split ({', '.join(missing[:3])}, …)"
        raise StoreError(f"The store {store.root} {what if ids else 'was asked for no candidate'}; run stage=snapshot.")
    return {i: min(num_snapshots, known.get(i, complete[i])) for i in ids}
