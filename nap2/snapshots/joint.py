"""Several stores and released sets, read as one."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from nap2.errors import StoreError
from nap2.snapshots.candidate_folder import CandidateRecord
from nap2.snapshots.failures import Failure
from nap2.snapshots.manifest import Setting
from nap2.snapshots.reader import SnapshotReader, open_snapshots
from nap2.snapshots.stored_candidate import StoredCandidate


class JointSnapshots:
    """A `SnapshotReader` over several others: every candidate comes from the one that holds most of its snapshots.

    Where two hold as many, the first named one answers: name a store before the set that was rounded from it.

    Args:
        members: what is read, at least one.
        same_setting: whether they have to be of one setting. Ids are of a candidate and its setting, so that those of
            several settings cannot be confused.

    Raises:
        StoreError: if their settings differ and must not.
    """

    def __init__(self, members: Sequence[SnapshotReader], same_setting: bool = True) -> None:
        self.members = tuple(members)
        for other in self.members[1:] if same_setting else ():
            if differences := self.setting.differences(other.setting):
                raise StoreError(
                    f"{self.root} and {other.root} cannot be read as one, their settings differ "
                    f"({'; '.join(differences[:3])}); leave one of them out of store and also."
                )
        self._holders: dict[str, SnapshotReader] = {}

    @property
    def root(self) -> Path:
        """The folder of the first member."""
        return self.members[0].root

    @property
    def setting(self) -> Setting:
        """What all candidates share, or those of the first member."""
        return self.members[0].setting

    @property
    def index_path(self) -> Path | None:
        """None: each member has its own overview."""
        return None

    def complete(self) -> dict[str, int]:
        """Number of snapshots of every complete candidate, by id in sorted order."""
        longest: dict[str, int] = {}
        for member in self.members:
            for candidate_id, count in member.complete().items():
                if count > longest.get(candidate_id, 0):
                    longest[candidate_id], self._holders[candidate_id] = count, member
        return dict(sorted(longest.items()))

    def failures(self) -> Mapping[str, Failure]:
        """Why candidates failed that no member holds, by id in sorted order; the first member's reason."""
        complete, found = self.complete(), {}
        for member in reversed(self.members):
            found.update({i: failure for i, failure in member.failures().items() if i not in complete})
        return dict(sorted(found.items()))

    def record(self, candidate_id: str) -> CandidateRecord:
        """Read one candidate as NumPy arrays and check every byte of it; raises as `read` does."""
        return self._holder(candidate_id).record(candidate_id)

    def read(self, candidate_id: str) -> StoredCandidate:
        """Read one candidate and check every byte of it; raises as its holder does."""
        return self._holder(candidate_id).read(candidate_id)

    def content_sha256(self, candidate_id: str) -> str:
        """The hash that stands beside its longest version."""
        return self._holder(candidate_id).content_sha256(candidate_id)

    def stamp(self, candidate_id: str) -> str:
        """Changes whenever a byte of its longest version is written, or another member holds it."""
        holder = self._holder(candidate_id)
        return f"{self.members.index(holder)}:{holder.stamp(candidate_id)}"

    def num_bytes(self, candidate_id: str) -> int:
        """Its size on disk, in the member that is read."""
        return self._holder(candidate_id).num_bytes(candidate_id)

    def _holder(self, candidate_id: str) -> SnapshotReader:
        if candidate_id not in self._holders:
            self.complete()
        return self._holders.get(candidate_id, self.members[0])  # which says that there is none


def open_joint(roots: Sequence[Path | str], same_setting: bool = True) -> SnapshotReader:
    """Open stores and released sets as one; a single one as itself.

    Raises:
        StoreError: if one of them is neither, is named twice, or is of another setting where `same_setting`.
        StoreVersionError: if another schema wrote it.
    """
    places = [Path(root).absolute() for root in roots]
    if twice := next((root for root in places if places.count(root) > 1), None):
        raise StoreError(f"{twice} is named twice; name each store and set once.")
    members = [open_snapshots(root) for root in roots]
    return members[0] if len(members) == 1 else JointSnapshots(members, same_setting)
