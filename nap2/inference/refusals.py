"""Trajectories that a predictor cannot read, refused in one line each."""

from nap2.errors import CheckpointError
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
