"""Several stores and released sets, read as one."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from typing import TypeVar

from nap2.errors import CorruptSnapshotError, StoreError, StoreVersionError
from nap2.snapshots.candidate_folder import CandidateRecord
from nap2.snapshots.failures import Failure
from nap2.snapshots.image_note import check_same_images
from nap2.snapshots.manifest import Setting
from nap2.snapshots.reader import SnapshotReader, open_snapshots
from nap2.snapshots.stored_candidate import StoredCandidate

Value = TypeVar("Value")


class JointSnapshots:
    """A `SnapshotReader` over several others: every candidate comes from the one that holds most of its snapshots.

    Where two hold as many, the first named one answers: name a store before the set that was rounded from it. Where
    one is damaged, the next one answers. The final accuracy is that of the first of them that knows it: an id names one
    run of one seed, of which they hold more or less, and which other devices or software may have rounded differently.

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
        self._holders: dict[str, list[SnapshotReader]] = {}  # of each candidate, most snapshots first

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
        held: dict[str, list[tuple[int, SnapshotReader]]] = defaultdict(list)
        for member in self.members:
            for candidate_id, count in member.complete().items():
                held[candidate_id].append((count, member))
        for versions in held.values():
            versions.sort(key=lambda version: -version[0])  # stable: of as many, the first named one
        self._holders = {i: [member for _, member in versions] for i, versions in held.items()}
        return {i: held[i][0][0] for i in sorted(held)}

    def failures(self) -> Mapping[str, Failure]:
        """Why candidates failed that no member holds, by id in sorted order; the first member's reason."""
        complete, found = self.complete(), {}
        for member in reversed(self.members):
            found.update({i: failure for i, failure in member.failures().items() if i not in complete})
        return dict(sorted(found.items()))

    def record(self, candidate_id: str) -> CandidateRecord:
        """Read one candidate as NumPy arrays and check every byte of it; raises as `read` does."""
        record = self._first_intact(candidate_id, lambda member: member.record(candidate_id))
        if record.final_accuracy is None and len(self._all_holders(candidate_id)) > 1:
            record = replace(record, final_accuracy=self._verified_final_accuracy(candidate_id))
        return record

    def read(self, candidate_id: str) -> StoredCandidate:
        """Read one candidate and check every byte of it; raises as the first of its holders does if all are damaged."""
        return StoredCandidate.of(self.record(candidate_id))

    def content_sha256(self, candidate_id: str) -> str:
        """The hash that stands beside its longest version."""
        return self._first_intact(candidate_id, lambda member: member.content_sha256(candidate_id))

    def final_accuracy(self, candidate_id: str) -> float | None:
        """The final accuracy (fraction) that any member knows, unverified; None where none does."""
        known = (_known_final_accuracy(member, candidate_id) for member in self._all_holders(candidate_id))
        return next((accuracy for accuracy in known if accuracy is not None), None)

    def stamp(self, candidate_id: str) -> str:
        """Changes whenever a byte of its longest version is written, or another member holds it."""
        holder = self._holder(candidate_id)
        return f"{self.members.index(holder)}:{holder.stamp(candidate_id)}"

    def num_bytes(self, candidate_id: str) -> int:
        """Its size on disk, in the member that is read."""
        return self._holder(candidate_id).num_bytes(candidate_id)

    def _verified_final_accuracy(self, candidate_id: str) -> float | None:
        for member in self._all_holders(candidate_id):
            if _known_final_accuracy(member, candidate_id) is not None:
                with suppress(CorruptSnapshotError):
                    return member.record(candidate_id).final_accuracy
        return None

    def _first_intact(self, candidate_id: str, read: Callable[[SnapshotReader], Value]) -> Value:
        """What `read` finds in the first holder in which it meets no damage; its first complaint if there is none."""
        damage: CorruptSnapshotError | None = None
        for member in self._all_holders(candidate_id):
            try:
                return read(member)
            except CorruptSnapshotError as error:
                damage = damage or error
        assert damage is not None
        raise damage

    def _holder(self, candidate_id: str) -> SnapshotReader:
        return self._all_holders(candidate_id)[0]

    def _all_holders(self, candidate_id: str) -> Sequence[SnapshotReader]:
        if candidate_id not in self._holders:
            self.complete()
        return self._holders.get(candidate_id, self.members[:1])  # which says that there is none


def _known_final_accuracy(member: SnapshotReader, candidate_id: str) -> float | None:
    with suppress(CorruptSnapshotError, StoreVersionError):
        return member.final_accuracy(candidate_id)
    return None


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
