"""Several stores and released sets, read as one."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from nap2.errors import CorruptSnapshotError, StoreError, StoreVersionError
from nap2.snapshots.candidate_folder import CandidateRecord
from nap2.snapshots.failures import Failure
from nap2.snapshots.manifest import Setting
from nap2.snapshots.released.snapshot_set import SnapshotSet
from nap2.snapshots.store import SnapshotStore
from nap2.snapshots.stored_candidate import StoredCandidate

Value = TypeVar("Value")
Member = SnapshotStore | SnapshotSet


class JointSnapshots:
    """Several others as one: every candidate comes from the one that holds most of its snapshots.

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

    def __init__(self, members: Sequence[Member], same_setting: bool = True) -> None:
        self.members = tuple(members)
        for other in self.members[1:] if same_setting else ():
            if differences := self.setting.differences(other.setting):
                raise StoreError(
                    f"{self.root} and {other.root} cannot be read as one, their settings differ "
                    f"({'; '.join(differences[:3])}); leave one of them out of store and also."
                )
        self._holders: dict[str, list[Member]] = {}  # of each candidate, most snapshots first

    @property
    def root(self) -> Path:
        """The folder of the first member."""
        return self.members[0].root

    @property
    def setting(self) -> Setting:
        """What all candidates share, or those of the first member."""
        return self.members[0].setting

    def complete(self) -> dict[str, int]:
        """Number of snapshots of every complete candidate, by id in sorted order."""
        held: dict[str, list[tuple[int, Member]]] = defaultdict(list)
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

    def _verified_final_accuracy(self, candidate_id: str) -> float | None:
        for member in self._all_holders(candidate_id):
            with suppress(CorruptSnapshotError, StoreVersionError):
                if member.final_accuracy(candidate_id) is not None:
                    return member.record(candidate_id).final_accuracy
        return None

    def _first_intact(self, candidate_id: str, read: Callable[[Member], Value]) -> Value:
        """What `read` finds in the first holder in which it meets no damage; its first complaint if there is none."""
        damage: CorruptSnapshotError | None = None
        for member in self._all_holders(candidate_id):
            try:
                return read(member)
            except CorruptSnapshotError as error:
                damage = damage or error
        assert damage is not None
        raise damage

    def _all_holders(self, candidate_id: str) -> Sequence[Member]:
        if candidate_id not in self._holders:
            self.complete()
        return self._holders.get(candidate_id, self.members[:1])  # which says that there is none
