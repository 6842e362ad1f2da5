"""Writers without torch, to be killed at any moment: `torch_free_writer.py ROOT` reads lines of seeds to write."""

import os
import sys
from pathlib import Path

import numpy as np

from nap2.snapshots import candidate_folder, disk, shelf
from nap2.snapshots.claims import claimed
from nap2.snapshots.curve import Curve
from nap2.snapshots.manifest import Candidate
from nap2.snapshots.store_root import create_root, read_setting

UNITS = (16, 32, 10)
NUM_ENTRIES = 11 * (17 + 33 + 11) + 5 * (17 + 20 + 11)
NUM_SNAPSHOTS = 4


def candidate(setting, seed):
    return Candidate(setting, "|avg_pool_3x3~0|", seed)


def values(seed):
    return np.random.default_rng(seed).standard_normal((NUM_SNAPSHOTS, 2, NUM_ENTRIES), dtype=np.float32)


def write(root, who):
    with claimed(root / ".staging" / who.id) as claim:
        if claim is None or shelf.longest_of(root / "candidates", who.id):
            return
        arrays = {
            "values": values(who.seed),
            "units": np.array(UNITS),
            "counts": np.zeros((NUM_SNAPSHOTS, 2, 5), dtype=np.int64),
            **candidate_folder.curve_arrays(Curve([1.0], [0.5] * NUM_SNAPSHOTS, [1.0] * NUM_SNAPSHOTS)),
        }
        staged = claim.folder / f"write-{disk.token()}"
        candidate_folder.write_candidate(staged, who, arrays, ("a", "b", "c"))
        disk.make_durable(staged)
        shelf.place(staged, root / "candidates", who.id, NUM_SNAPSHOTS, root / ".staging", replace=False)
        claim.keep_folder = False


def serve(root):
    """For each line of seeds, fork a writer and print its pid; once it has ended, print its exit status."""
    for line in sys.stdin:
        if not (pid := os.fork()):
            create_root(root, read_setting(root))
            for seed in map(int, line.split()):
                write(root, candidate(read_setting(root), seed))
            os._exit(0)
        print(pid, flush=True)  # noqa: T201  # the test reads it
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)  # noqa: T201


if __name__ == "__main__":
    assert "torch" not in sys.modules
    serve(Path(sys.argv[1]))
