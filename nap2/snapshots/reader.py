"""Opening collected snapshots, wherever they lie: a store that training fills, a released set, or several as one."""

from collections.abc import Sequence
from itertools import combinations
from pathlib import Path

from nap2.errors import StoreError
from nap2.snapshots.image_note import check_same_images
from nap2.snapshots.joint import JointSnapshots
from nap2.snapshots.released.snapshot_set import SnapshotSet, is_set
from nap2.snapshots.store import SnapshotStore

SnapshotReader = SnapshotStore | SnapshotSet | JointSnapshots
"""What stages read; they ask of each the same."""


def open_snapshots(root: Path | str) -> SnapshotStore | SnapshotSet:
    """Open a store or a released set.

    Raises:
        StoreError: if there is neither, or it cannot be read.
        StoreVersionError: if another schema wrote it.
    """
    return SnapshotSet.open(root) if is_set(root) else SnapshotStore.open(root)


def open_joint(roots: Sequence[Path | str], same_setting: bool = True) -> SnapshotReader:
    """Open stores and released sets as one; a single one as itself.

    Raises:
        StoreError: if one of them is neither, is named twice, is of another setting where `same_setting`, or is of
            one setting with another, but of other images.
        StoreVersionError: if another schema wrote it.
    """
    places = [Path(root).absolute() for root in roots]
    if twice := next((root for root in places if places.count(root) > 1), None):
        raise StoreError(f"{twice} is named twice; name each store and set once.")
    members = [open_snapshots(root) for root in roots]
    for one, other in combinations(members, 2):
        if not one.setting.differences(other.setting):
            check_same_images(one.root, other.root)
    return members[0] if len(members) == 1 else JointSnapshots(members, same_setting)


def refuse_set(root: Path | str, what: str) -> None:
    """Refuse a released set where a store is needed; `what` says for what, as an advice.

    Raises:
        StoreError: if `root` is one.
    """
    if is_set(root):
        raise StoreError(
            f"{root} is a released snapshot set, which only stage=release adds to; {what} (store=stores/…)."
        )
