"""Candidates that need no training, because a released snapshot set of the same setting holds them."""

from collections.abc import Sequence
from pathlib import Path

from nap2.snapshots.manifest import Candidate
from nap2.snapshots.released.snapshot_set import SET_FILE, SnapshotSet


def released_sets(folder: Path, candidate: Candidate) -> list[SnapshotSet]:
    """Sets directly under `folder` whose setting is that of the candidate, sorted by name.

    Raises:
        CorruptSnapshotError, StoreVersionError: if one there cannot be read.
    """
    found = [SnapshotSet.open(path.parent) for path in sorted(folder.glob(f"*/{SET_FILE}"))]
    return [one for one in found if not candidate.setting.differences(one.setting)]


def without_released(
    folder: Path, candidates: Sequence[Candidate], num_snapshots: int, to_the_end: bool
) -> tuple[list[Candidate], list[str]]:
    """Candidates that still have to be trained, and one line for each set that holds some of the others.

    Args:
        folder: of the released sets; it need not exist.
        candidates: of one setting, at least one.
        num_snapshots: how many are wanted of each.
        to_the_end: whether final accuracies are wanted too.
    """
    left, lines = list(candidates), []
    for one in released_sets(folder, candidates[0]):
        rest = [c for c in left if not one.has(c.id, num_snapshots, to_the_end)]
        if count := len(left) - len(rest):
            lines.append(
                f"{count} of {len(candidates)} candidates are in the released set {one.root} and are not trained "
                f"again (store={one.root} reads them, also=[{one.root}] with the others; snapshot.skip_released=false "
                "trains them)"
            )
        left = rest
    return left, lines
