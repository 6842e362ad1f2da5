"""Snapshot sets: what was collected, in a form that fits a repository; compact, append-only, checksummed.

    float32 values ─ reduction ─→ kept statistics ─ planes ─→ bytes ─ packing ─→ one blob a candidate ─ part ─→ files

`snapshot_set` reads a folder of such parts with the interface of a snapshot store; `writer` adds the next part.
"""

from nap2.snapshots.released.snapshot_set import SnapshotSet
from nap2.snapshots.released.writer import Limits, NewPart, add_part

__all__ = ["Limits", "NewPart", "SnapshotSet", "add_part"]
