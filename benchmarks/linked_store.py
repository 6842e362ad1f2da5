"""A store of a whole search space for little disk: a few real candidates, linked under many names."""

import json
from pathlib import Path

import torch

from nap2.schema import MAX_SNAPSHOTS
from nap2.snapshots.candidate_folder import STORED_ARRAYS, content_hash, read_candidate
from nap2.snapshots.curve import Curve
from nap2.snapshots.manifest import Candidate, Setting
from nap2.snapshots.recorder import SnapshotRecorder
from nap2.snapshots.store import SnapshotStore
from nap2.snapshots.trajectory import Trajectory
from nap2.spaces import SPACES

SETTING = Setting("nasbench201", {"num_classes": 10}, "cifar10", {"name": "benchmark"}, 1)


def filled_store(root: Path, num_candidates: int) -> SnapshotStore:
    """Candidates of 23 snapshots of random NAS-Bench-201 networks at full size, their numbers noise."""
    store, space = SnapshotStore.create(root, SETTING), SPACES["nasbench201"]
    chosen = torch.randperm(space.size, generator=torch.Generator().manual_seed(0))[:num_candidates]
    for index in chosen.tolist():
        arch_str = space.arch_strings()[index]
        with store.claim(Candidate(SETTING, arch_str, 0), MAX_SNAPSHOTS) as writer:
            assert writer is not None
            trajectory = noisy_trajectory(arch_str)
            curve = Curve([2.3] * 2300, [0.1] * len(trajectory), [1.0] * len(trajectory), [0.1] * 11)
            writer.finish(trajectory, curve)
    return store


def noisy_trajectory(arch_str: str) -> Trajectory:
    """Snapshots of a network whose weights and gradients are noise: what compresses least."""
    torch.manual_seed(0)
    network = SPACES["nasbench201"].build(arch_str)
    recorder = SnapshotRecorder(network, every=1)
    for _ in range(MAX_SNAPSHOTS):
        for parameter in network.parameters():
            parameter.grad = torch.randn_like(parameter) * 1e-3
            parameter.data.add_(torch.randn_like(parameter), alpha=1e-2)
        recorder.step()
    return recorder.trajectory()


def link_candidates(store: SnapshotStore, count: int) -> list[str]:
    """Fill a store up to `count` candidates: attributes and hash of their own, the arrays of those that are there."""
    sources = [(store.folder(id), read_candidate(store.folder(id))) for id in store.complete()]
    ids = list(store.complete())
    for number in range(len(ids), count):
        folder, record = sources[number % len(sources)]
        new = Candidate(store.setting, record.candidate.arch_str, seed=number)
        target = store.shelf / f"{new.id}-T{len(record.arrays['values'])}"
        target.mkdir()
        for name in STORED_ARRAYS:
            (target / name).symlink_to(folder / name)
        metadata = json.loads((folder / "zarr.json").read_text())
        metadata["attributes"] |= {"id": new.id, "seed": new.seed}
        metadata["attributes"]["content_sha256"] = content_hash(metadata["attributes"], record.arrays)
        (target / "zarr.json").write_text(json.dumps(metadata))
        ids.append(new.id)
    return ids
