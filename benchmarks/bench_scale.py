"""Training maps at the size of a whole search space: 15,625 candidates of 23 snapshots, real ones linked many times."""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.harness import Measurement, at_most
from benchmarks.linked_store import filled_store, link_candidates
from nap2.schema import MAX_SNAPSHOTS
from nap2.spaces import SPACES

WHOLE_SPACE = SPACES["nasbench201"].size
FEW = 300
FLAT_MB = 64.0
"""Ids, lengths, order and the places of a cache may grow; the maps of 15,625 candidates would be 62,000 MB."""

WORKS = {
    "feature maps for an autoencoder, cache bounded at 0.2 GB": "maps_bounded_cache",
    "feature maps for an autoencoder, no cache": "maps_no_cache",
    "trajectories for embeddings": "trajectories",
}


def measurements(quick: bool) -> list[Measurement]:
    """Memory beside that of a small store, time to the first batch, and maps per second."""
    count = 2_000 if quick else WHOLE_SPACE
    with tempfile.TemporaryDirectory() as folder:
        store = filled_store(Path(folder) / "store", num_candidates=6 if quick else 24)
        link_candidates(store, count)
        return [
            *(_extra_memory(store.root, what, work, count) for what, work in WORKS.items()),
            _first_batch(store.root, count, "no cache", "first_batch_no_cache"),
            _first_batch(store.root, count, "an empty cache", "first_batch_empty_cache"),
            _rate(store.root, 100 if quick else 700),
        ]


def _extra_memory(root: Path, what: str, work: str, count: int) -> Measurement:
    few, many = (_measured(work, root, candidates)["peak_mb"] for candidates in (FEW, count))
    note = f"peak of a process of its own: {many:.0f} MB, with {FEW} candidates {few:.0f} MB; the same work in both"
    return at_most(f"memory at {count:,} candidates beyond that at {FEW}, {what}", many - few, FLAT_MB, "MB", note=note)


def _first_batch(root: Path, count: int, what: str, work: str) -> Measurement:
    row = f"first batch of {count:,} candidates × {MAX_SNAPSHOTS} snapshots, {what}"
    note = "CPU seconds on one thread, opening the store included"
    return at_most(row, _measured(work, root, count)["cpu_s"], 5.0, "s", note=note)


def _rate(root: Path, count: int) -> Measurement:
    """The published size of a training pool: it fits into the default bound of the cache."""
    found = _measured("rate_cached", root, count)
    row = f"maps per second into an autoencoder, {count} candidates × {MAX_SNAPSHOTS} snapshots, cache built"
    note = f"one thread, CPU time, a whole random epoch; {found['plain_rate']:,.0f} maps/s while it is built"
    return Measurement(row, (), (), 2000, unit="maps/s", value=found["rate"], note=note)


def _measured(work: str, root: Path, count: int) -> dict[str, float]:
    """What `benchmarks.scale_work` found in a process of its own."""
    with tempfile.TemporaryDirectory() as cache:
        command = [sys.executable, "-m", "benchmarks.scale_work", work, str(root), str(count), cache]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    found: dict[str, float] = json.loads(done.stdout)
    return found
