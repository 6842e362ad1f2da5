"""One piece of work on a large store, in a process whose peak memory tells: `scale_work WORK STORE COUNT CACHE`."""

import json
import sys
import time
from collections.abc import Callable
from itertools import islice
from pathlib import Path

import torch

from data_modules.feature_maps import FeatureMapDataModule, iterate_trajectories
from nap2.snapshots.store import SnapshotStore

BATCH, SEEN_BATCHES = 32, 100
Figures = dict[str, float]


def maps_bounded_cache(root: Path, ids: list[str], cache: Path) -> Figures:
    """Batches until blocks of candidates come and go and the bound of the cache is reached."""
    for _ in islice(_module(root, ids, cache, cache_gb=0.2).train_dataloader(), SEEN_BATCHES):
        pass
    return {}


def maps_no_cache(root: Path, ids: list[str], cache: Path) -> Figures:
    """The same, read from the store."""
    for _ in islice(_module(root, ids, None).train_dataloader(), SEEN_BATCHES):
        pass
    return {}


def trajectories(root: Path, ids: list[str], cache: Path) -> Figures:
    """What is encoded candidate by candidate."""
    for _ in islice(iterate_trajectories(SnapshotStore.open(root), ids), 100):
        pass
    return {}


def first_batch_no_cache(root: Path, ids: list[str], cache: Path) -> Figures:
    """From nothing to the first batch."""
    return _first_batch(lambda: _module(root, ids, None))


def first_batch_empty_cache(root: Path, ids: list[str], cache: Path) -> Figures:
    """The same with a cache, for which every candidate's hash is read."""
    return _first_batch(lambda: _module(root, ids, cache))


def rate_cached(root: Path, ids: list[str], cache: Path) -> Figures:
    """Maps per second of an epoch: the first one, which fills the cache, and the second one."""
    data = _module(root, ids, cache)
    rates = []
    for epoch in range(2):
        loader = data.train_dataloader()
        loader.sampler.set_epoch(epoch)  # type: ignore[attr-defined]
        start, num_maps = time.process_time(), 0
        for batch in loader:
            num_maps += len(batch)
        rates.append(num_maps / (time.process_time() - start))
    return {"plain_rate": rates[0], "rate": rates[1]}


WORKS: dict[str, Callable[[Path, list[str], Path], Figures]] = {
    work.__name__: work
    for work in (
        maps_bounded_cache,
        maps_no_cache,
        trajectories,
        first_batch_no_cache,
        first_batch_empty_cache,
        rate_cached,
    )
}


def _module(root: Path, ids: list[str], cache: Path | None, cache_gb: float = 8.0) -> FeatureMapDataModule:
    return FeatureMapDataModule(root, {"train": ids, "val": ids[:8]}, "weights", BATCH, cache, cache_gb=cache_gb)


def _first_batch(make: Callable[[], FeatureMapDataModule]) -> Figures:
    start = time.process_time()
    next(iter(make().train_dataloader()))
    return {"cpu_s": time.process_time() - start}


def main(work: str, root: str, count: str, cache: str) -> None:
    """Do it and print what it took."""
    torch.set_num_threads(1)
    ids = list(SnapshotStore.open(root).complete())[: int(count)]
    figures = WORKS[work](Path(root), ids, Path(cache))
    print(json.dumps({**figures, "peak_mb": peak_mb()}))


def peak_mb() -> float:
    """Most memory this program held; `getrusage` would count what its parent held when it forked."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) / 1024


if __name__ == "__main__":
    main(*sys.argv[1:])
