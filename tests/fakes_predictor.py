"""A small predictor with random weights, and random trajectories."""

from typing import Any

import torch

from nap2.inference import Predictor
from nap2.models.bigru import BiGRUPredictor
from nap2.models.cae import Encoder
from nap2.schema import COUNTS
from nap2.snapshots.layout import num_entries
from nap2.snapshots.trajectory import Trajectory


def random_predictor(
    every: int = 100, num_snapshots: int = 5, num_heads: int = 1, gradients_alone: bool = False, **spec: Any
) -> Predictor:
    torch.manual_seed(0)
    encoders = (Encoder(), Encoder())
    for encoder in encoders:  # running statistics that differ from the initial ones
        encoder.train()(torch.randn(2, 12, 65, 100))
    heads = {"both": [BiGRUPredictor(hidden=8) for _ in range(num_heads)]}
    if gradients_alone:
        heads["gradients"] = [BiGRUPredictor(input_size=128, hidden=8)]
    return Predictor(encoders, heads, {"every": every, "num_snapshots": num_snapshots, **spec})


def random_trajectory(
    num_snapshots: int, every: int = 100, seed: int = 0, units: tuple[int, ...] = (4, 8)
) -> Trajectory:
    generator = torch.Generator().manual_seed(seed)
    values = torch.randn(num_snapshots, 2, num_entries(units), generator=generator)
    counts = torch.zeros(num_snapshots, 2, len(COUNTS), dtype=torch.int64)
    return Trajectory(values, torch.tensor(units), every, counts, tuple(f"layer{i}" for i in range(len(units))))
