"""What a stage may ask of collected snapshots, wherever they lie: a store that training fills, or a released set."""

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from nap2.errors import StoreError
from nap2.snapshots.candidate_folder import CandidateRecord
from nap2.snapshots.failures import Failure
from nap2.snapshots.manifest import Setting
from nap2.snapshots.released.snapshot_set import SnapshotSet, is_set
from nap2.snapshots.store import SnapshotStore
from nap2.snapshots.stored_candidate import StoredCandidate


class SnapshotReader(Protocol):
    """Snapshots of many candidates of one setting, to read. `SnapshotStore` and `SnapshotSet` both are one."""

    @property
    def root(self) -> Path:
        """Its folder."""

    @property
    def setting(self) -> Setting:
        """What all its candidates share."""

    @property
    def index_path(self) -> Path | None:
        """Where an overview may be kept; None where nothing may be written."""

    def complete(self) -> dict[str, int]:
        """Number of snapshots of every complete candidate, by id in sorted order."""

    def failures(self) -> Mapping[str, Failure]:
        """Why candidates failed, by id in sorted order."""

    def record(self, candidate_id: str) -> CandidateRecord:
        """Read one candidate as NumPy arrays and check every byte of it; raises as `read` does."""

    def read(self, candidate_id: str) -> StoredCandidate:
        """Read one candidate and check every byte of it.

        Raises:
            StoreError: if there is none.
            CorruptSnapshotError: if its bytes are not those that were written.
            StoreVersionError: if another schema wrote it.
        """

    def content_sha256(self, candidate_id: str) -> str:
        """The hash that stands beside its longest version, unverified: it names the content."""

    def final_accuracy(self, candidate_id: str) -> float | None:
        """Its final accuracy (fraction), unverified and without reading its arrays; None where it is not known."""

    def stamp(self, candidate_id: str) -> str:
        """Changes whenever a byte of its longest version is written; nothing is read. Empty: gone just now."""

    def num_bytes(self, candidate_id: str) -> int:
        """Its size on disk."""


def open_snapshots(root: Path | str) -> SnapshotReader:
    """Open a store or a released set.

    Raises:
        StoreError: if there is neither, or it cannot be read.
        StoreVersionError: if another schema wrote it.
    """
    return SnapshotSet.open(root) if is_set(root) else SnapshotStore.open(root)


def refuse_set(root: Path | str, what: str) -> None:
    """Refuse a released set where a store is needed; `what` says for what, as an advice.

    Raises:
        StoreError: if `root` is one.
    """
    if is_set(root):
        raise StoreError(
            f"{root} is a released snapshot set, which only stage=release adds to; {what} (store=stores/…)."
        )
