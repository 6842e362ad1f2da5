"""Trajectories that a predictor cannot read, refused in one line each."""

import torch

from nap2.errors import CheckpointError
from nap2.inference.scope import scales
from nap2.schema import MODALITIES
from nap2.snapshots.trajectory import Trajectory


def check_fits(trajectory: Trajectory, every: int, num_snapshots: int) -> None:
    """Refuse a trajectory of another interval or length.

    Raises:
        CheckpointError: if it has not one snapshot every `every` steps, or not 1 to `num_snapshots` of them.
    """
    if trajectory.every != every:
        raise CheckpointError(
            f"This predictor reads a snapshot every {every} steps, the trajectory has one every "
            f"{trajectory.every}; record it with every={every}."
        )
    if not 1 <= len(trajectory) <= num_snapshots:
        raise CheckpointError(
            f"This predictor reads 1 to {num_snapshots} snapshots, the trajectory holds {len(trajectory)}; "
            f"pass trajectory.first({num_snapshots}) or record at least one."
        )


def check_gradients(trajectory: Trajectory) -> None:
    """Refuse a trajectory without gradients.

    Raises:
        CheckpointError: if all of them are zero at every snapshot.
    """
    if not torch.isfinite(scales(trajectory)[:, MODALITIES.index("gradients")]).any():
        raise CheckpointError(
            "The trajectory's gradients are zero at every snapshot: they were never computed, or already cleared. Call "
            "recorder.step() after backward and before zero_grad, or pass modality='weights' if the predictor has it."
        )
