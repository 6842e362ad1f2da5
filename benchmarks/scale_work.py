"""One piece of work on a large store, in a process whose peak memory tells: `scale_work WORK STORE COUNT CACHE`."""

import json
import sys
import time
from collections.abc import Iterable
from itertools import islice
from pathlib import Path

import torch

from data_modules.feature_maps import FeatureMapDataModule
from nap2.snapshots.store import SnapshotStore

BATCH, SEEN_BATCHES = 32, 70  # blocks of 64 candidates come and go, and the bounded cache is full


def walk(root: Path, ids: list[str], cache: Path) -> dict[str, float]:
    """Maps without and with a bounded cache, then what is encoded candidate by candidate."""
    started = time.process_time()
    batches = iter(_module(root, ids, None).train_dataloader())
    next(batches)
    first_batch_s = time.process_time() - started
    _see(batches)
    started = time.process_time()
    batches = iter(_module(root, ids, cache, cache_gb=0.2).train_dataloader())
    next(batches)
    first_cached_batch_s = time.process_time() - started
    _see(batches)
    _see(map(SnapshotStore.open(root).read, ids))
    return {"first_batch_s": first_batch_s, "first_cached_batch_s": first_cached_batch_s}


def rate(root: Path, ids: list[str], cache: Path) -> dict[str, float]:
    """Maps per second of an epoch: the first one, which fills the cache, and the second one."""
    data = _module(root, ids, cache)
    rates = {}
    for epoch, name in enumerate(("building", "built")):
        loader = data.train_dataloader()
        loader.sampler.set_epoch(epoch)
        started = time.process_time()
        num_maps = sum(len(batch) for batch in loader)
        rates[name] = num_maps / (time.process_time() - started)
    return rates


def peak_kb(pid: int | str = "self") -> int:
    """Most memory a process held, 0 if it has ended; `getrusage` would count what its parent held when it forked."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("VmHWM:")), 0)


def _module(root: Path, ids: list[str], cache: Path | None, cache_gb: float = 8.0) -> FeatureMapDataModule:
    return FeatureMapDataModule(root, {"train": ids, "val": ids[:8]}, "weights", BATCH, cache, cache_gb=cache_gb)


def _see(items: Iterable[object]) -> None:
    for _ in islice(items, SEEN_BATCHES):
        pass


def main(work: str, root: str, count: str, cache: str) -> None:
    """Do it and print what it took."""
    torch.set_num_threads(1)
    ids = list(SnapshotStore.open(root).complete())[: int(count)]
    figures = {"walk": walk, "rate": rate}[work](Path(root), ids, Path(cache))
    print(json.dumps({**figures, "peak_mb": peak_kb() / 1024}))


if __name__ == "__main__":
    main(*sys.argv[1:])
