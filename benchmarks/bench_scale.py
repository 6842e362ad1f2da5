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
"""Ids, lengths, order and the places of a cache may grow; the maps of 15,625 candidates would be 30,000 MB and more."""


def measurements(quick: bool) -> list[Measurement]:
    """Memory beside that of a small store, time to the first batch, and maps per second."""
    count = 2_000 if quick else WHOLE_SPACE
    with tempfile.TemporaryDirectory() as folder:
        store = filled_store(Path(folder) / "store", num_candidates=6 if quick else 16)
        link_candidates(store, count)
        few, many = (_measured("walk", store.root, number) for number in (FEW, count))
        return [
            _extra_memory(few["peak_mb"], many["peak_mb"], count),
            _first_batch(many["first_batch_s"], count, "no cache"),
            _first_batch(many["first_cached_batch_s"], count, "an empty cache, for which every hash is read"),
            _rate(store.root, 100 if quick else FEW),
        ]


def _extra_memory(few_mb: float, many_mb: float, count: int) -> Measurement:
    note = (
        f"peak of one process: {many_mb:.0f} MB, with {FEW} candidates {few_mb:.0f} MB; in both the same number of "
        "maps is read, without a cache, with one bounded at 0.2 GB, and trajectory by trajectory"
    )
    row = f"memory at {count:,} candidates × {MAX_SNAPSHOTS} snapshots beyond that at {FEW}"
    return at_most(row, many_mb - few_mb, FLAT_MB, "MB", note=note)


def _first_batch(cpu_s: float, count: int, what: str) -> Measurement:
    row = f"first batch of {count:,} candidates × {MAX_SNAPSHOTS} snapshots, {what}"
    return at_most(row, cpu_s, 5.0, "s", note="CPU seconds on one thread, opening the store included")


def _rate(root: Path, count: int) -> Measurement:
    found = _measured("rate", root, count)
    row = f"maps per second into an autoencoder, {count} candidates × {MAX_SNAPSHOTS} snapshots, cache built"
    note = f"one thread, CPU time, a whole random epoch; {found['building']:,.0f} maps/s in the epoch that builds it"
    return Measurement(row, (), (), 2000, unit="maps/s", value=found["built"], note=note)


def _measured(work: str, root: Path, count: int) -> dict[str, float]:
    """What `benchmarks.scale_work` found in a process of its own."""
    with tempfile.TemporaryDirectory() as cache:
        command = [sys.executable, "-m", "benchmarks.scale_work", work, str(root), str(count), cache]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    found: dict[str, float] = json.loads(done.stdout)
    return found
