import subprocess
import sys

import fakes_maps as fakes
import pytest

UNITS = (16,) * 5 + (32,) * 5 + (64,) * 4 + (10,)  # a third of an average cell, to spare the hashing of 15,625

MEASURE = """
import sys, time
from pathlib import Path
from data_modules.feature_maps import FeatureMapDataModule
from nap2.snapshots.store import SnapshotStore

def peak_mb():  # of this program; getrusage would count what its parent held when it forked
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) / 1024

root, count, cache = sys.argv[1], int(sys.argv[2]), sys.argv[3]
store = SnapshotStore.open(root)
ids = list(store.complete())[:count]
for candidate_id in ids[:3]:
    store.read(candidate_id)
start = time.process_time()
data = FeatureMapDataModule(root, {"train": ids, "val": ids[:8]}, "weights", 32, cache, cache_gb=0.2, block=16)
batches = iter(data.train_dataloader())
next(batches)
first_cpu_s = time.process_time() - start
for _, batch in zip(range(150), batches):  # 200 candidates: blocks come and go, the bound of the cache is reached
    pass
for candidate_id in ids[:100]:
    store.read(candidate_id)
print(peak_mb(), first_cpu_s)
"""


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_memory_and_first_batch_do_not_depend_on_the_number_of_candidates(tmp_path):
    """The same work on 300 and on 15,625 candidates of 23 snapshots (hard links to a few real ones)."""
    store = fakes.SnapshotStore.create(tmp_path / "store", fakes.SETTING)
    sources = [fakes.add(store, seed, 23, UNITS) for seed in range(12)]
    fakes.link_candidates(store, sources, 15_625 - len(sources))
    figures = []
    for count in (300, 15_625):
        command = [sys.executable, "-c", MEASURE, str(store.root), str(count), str(tmp_path / f"cache{count}")]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        figures.append([float(figure) for figure in done.stdout.split()])
    (few_mb, _), (many_mb, first_cpu_s) = figures
    assert many_mb - few_mb < 64, figures  # ids, lengths, order; the maps themselves would be 9,000
    assert first_cpu_s < 10, figures  # CPU seconds: processes beside this one do not count
