"""How a predictor reads the snapshots: in their order, as NAP2 does, or as in the paper's ablation (App. H.2)."""

import torch
from torch import Tensor

ORDERED, STATIC, MEAN_POOL, SHUFFLED = "ordered", "static", "mean_pool", "shuffled"

READINGS = (ORDERED, STATIC, MEAN_POOL, SHUFFLED)

PER_BUDGET = (STATIC, MEAN_POOL)
"""These read one embedding instead of a sequence, and have a predictor of its own for every query budget."""


def one_embedding(reading: str, trajectory: Tensor, lengths: Tensor) -> Tensor:
    """What a reading of `PER_BUDGET` makes of a trajectory: its last snapshot alone, or the mean of all.

    Args:
        reading: `static` or `mean_pool`.
        trajectory: `[B, T, D]`; what lies beyond a length is not read.
        lengths: int64 `[B]`, 1..T.

    Returns:
        `[B, 1, D]`.
    """
    if reading == STATIC:
        return trajectory[torch.arange(len(trajectory)), lengths - 1][:, None]
    is_beyond = torch.arange(trajectory.shape[1]) >= lengths[:, None]  # [B, T]
    return trajectory.masked_fill(is_beyond[:, :, None], 0.0).sum(1, keepdim=True) / lengths[:, None, None]


def shuffled(trajectory: Tensor, lengths: Tensor, generator: torch.Generator) -> Tensor:
    """The snapshots of each trajectory in an order drawn for it; what lies beyond its length stays there.

    Args:
        trajectory: `[B, T, D]`.
        lengths: int64 `[B]`, 1..T.
        generator: of the orders, all equally likely.

    Returns:
        `[B, T, D]`.
    """
    steps = torch.arange(trajectory.shape[1])
    keys = torch.rand(trajectory.shape[:2], generator=generator, dtype=torch.float64)
    keys = torch.where(steps < lengths[:, None], keys, 1.0 + steps)  # [B, T]
    return trajectory[torch.arange(len(trajectory))[:, None], keys.argsort(1)]
