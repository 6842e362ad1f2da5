"""Tiny candidates whose every stored number is a function of their seed."""

import numpy as np
import torch

from nap2.snapshots.curve import Curve
from nap2.snapshots.layout import num_entries
from nap2.snapshots.manifest import Candidate, Setting
from nap2.snapshots.store import SnapshotStore
from nap2.snapshots.trajectory import Trajectory

UNITS = (16, 32, 128, 10)
LAYERS = tuple(f"cell.{i}.conv" for i in range(len(UNITS)))


def setting(**changes) -> Setting:
    content = {
        "space": "nasbench201",
        "skeleton": {"num_classes": 10, "stem_channels": 4},
        "dataset": "digits",
        "recipe": {"name": "digits", "lr": 0.1},
        "every": 10,
    }
    return Setting(**{**content, **changes})


def candidate(seed: int = 0, **changes) -> Candidate:
    return Candidate(setting(**changes), "|nor_conv_3x3~0|+|none~0|none~1|+|none~0|none~1|none~2|", seed)


def values(seed: int, num_snapshots: int) -> np.ndarray:
    shape = (23, 2, num_entries(UNITS))
    return np.random.default_rng(seed).standard_normal(shape, dtype=np.float32)[:num_snapshots]


def trajectory(seed: int, num_snapshots: int, every: int = 10) -> Trajectory:
    counts = torch.arange(num_snapshots * 10).reshape(num_snapshots, 2, 5)
    return Trajectory(torch.from_numpy(values(seed, num_snapshots)), torch.tensor(UNITS), every, counts, LAYERS)


def curve(num_snapshots: int, final_accuracy: float | None = None) -> Curve:
    return Curve([2.5, 2.25], [0.5] * num_snapshots, [1.5] * num_snapshots, [0.25], final_accuracy)


def finish(store: SnapshotStore, seed: int, num_snapshots: int, final_accuracy: float | None = None) -> Candidate:
    """Put one candidate into a store."""
    to_the_end = final_accuracy is not None
    with store.claim(candidate(seed), num_snapshots, to_the_end) as writer:
        writer.finish(trajectory(seed, num_snapshots), curve(num_snapshots, final_accuracy))
    return candidate(seed)
