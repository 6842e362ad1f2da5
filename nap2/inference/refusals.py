"""Trajectories and budgets that a predictor cannot read, refused in one line each."""

from nap2.errors import CheckpointError
from nap2.snapshots.trajectory import Trajectory


def check_fits(trajectory: object, every: int, num_snapshots: int) -> None:
    """Refuse what is no trajectory, one of another interval or length, or without a number in every place.

    Raises:
        CheckpointError: if it has not one snapshot every `every` steps, or not 1 to `num_snapshots` of them, or a value
            that is not finite (which no recorder makes).
    """
    if not isinstance(trajectory, Trajectory):
        raise CheckpointError(
            f"A predictor reads a Trajectory, not a {type(trajectory).__name__}; pass recorder.trajectory(), or what "
            "Trajectory.load returns."
        )
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
    if not trajectory.values.isfinite().all():
        raise CheckpointError(
            "The trajectory holds values that are not finite; record it again, or copy its file again."
        )


def check_budget(query_batches: int, every: int, num_snapshots: int) -> None:
    """Refuse a number of mini-batches that does not end with a snapshot: what comes after the last one is not read.

    Raises:
        CheckpointError: if it is not `every` times 1 to `num_snapshots`.
    """
    count, rest = divmod(query_batches, every)
    if rest or not 1 <= count <= num_snapshots:
        steps = f"{every} to {every * num_snapshots} in steps of {every}" if num_snapshots > 1 else f"{every}"
        raise CheckpointError(
            f"Asked to rank after {query_batches} mini-batches, but this predictor reads {steps}; "
            f"use query_batches={every * min(max(count, 1), num_snapshots)}."
        )
