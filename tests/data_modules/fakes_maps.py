"""A store of tiny candidates of two shapes, whose maps are functions of their seed."""

import json
import os

import numpy as np
import torch

from nap2.snapshots import candidate_folder
from nap2.snapshots.candidate_folder import content_hash, read_candidate
from nap2.snapshots.curve import Curve
from nap2.snapshots.layout import num_entries
from nap2.snapshots.manifest import Candidate, Setting
from nap2.snapshots.store import SnapshotStore
from nap2.snapshots.trajectory import Trajectory

SETTING = Setting("nasbench201", {"num_classes": 10}, "digits", {"name": "digits"}, 10)
SHAPES = ((4, 8, 10), (4, 120, 8, 8, 10))


def candidate(seed: int) -> Candidate:
    return Candidate(SETTING, "|none~0|", seed)


def trajectory(seed: int, num_snapshots: int, units=None) -> Trajectory:
    units = units or SHAPES[seed % len(SHAPES)]
    random = np.random.default_rng(seed)
    values = torch.from_numpy(random.standard_normal((num_snapshots, 2, num_entries(units)), dtype=np.float32) * 9)
    counts = torch.zeros(num_snapshots, 2, 5, dtype=torch.int64)
    return Trajectory(values, torch.tensor(units), 10, counts, tuple(f"layer{i}" for i in range(len(units))))


def add(store: SnapshotStore, seed: int, num_snapshots: int, units=None) -> str:
    with store.claim(candidate(seed), num_snapshots) as writer:
        curve = Curve([1.0], [0.5] * num_snapshots, [1.0] * num_snapshots)
        writer.finish(trajectory(seed, num_snapshots, units), curve)
    return candidate(seed).id


def make_store(root, lengths) -> tuple[SnapshotStore, list[str]]:
    """One candidate per length, seeds counted from 0."""
    store = SnapshotStore.create(root, SETTING)
    return store, [add(store, seed, length) for seed, length in enumerate(lengths)]


def link_candidates(store: SnapshotStore, sources: list[str], count: int) -> list[str]:
    """Many candidates for little disk: attributes and hash of their own, the arrays of real ones by hard links."""
    records = {source: read_candidate(store.folder(source)) for source in sources}
    ids = []
    for number in range(count):
        source = sources[number % len(sources)]
        new = candidate(1_000_000 + number)
        folder, arrays = store.folder(source), records[source].arrays
        target = store.shelf / f"{new.id}-{folder.name.rpartition('-')[2]}"
        for name in candidate_folder.STORED_ARRAYS:
            os.makedirs(target / name)
            for file in os.listdir(folder / name):
                os.link(folder / name / file, target / name / file)
        metadata = json.loads((folder / "zarr.json").read_text())
        metadata["attributes"] |= {"id": new.id, "seed": new.seed}
        metadata["attributes"]["content_sha256"] = content_hash(metadata["attributes"], arrays)
        (target / "zarr.json").write_text(json.dumps(metadata))
        ids.append(new.id)
    return ids
