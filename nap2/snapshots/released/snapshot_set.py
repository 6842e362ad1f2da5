"""A released snapshot set: `set.json`, written once, and immutable parts; read with the interface of a store.

<root>/set.json         form, setting, what is kept and how it is rounded
<root>/part-0000.json   list and checksums of an instalment; existence means complete
<root>/part-0000.bin    its candidates, one blob after another
<root>/images.json      on which images they were trained, where the store says so (`nap2.snapshots.image_note`)
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from nap2.errors import StoreError
from nap2.snapshots.candidate_folder import CandidateRecord, check_schema_version
from nap2.snapshots.disk import explained
from nap2.snapshots.failures import Failure
from nap2.snapshots.manifest import Setting
from nap2.snapshots.released.packing import unpack
from nap2.snapshots.released.part import Entry, Part, damaged, numbers, read_part, unsealed
from nap2.snapshots.stored_candidate import StoredCandidate

SET_FILE = "set.json"
SET_FORMAT = "nap2-snapshot-set"


def is_set(root: Path | str) -> bool:
    """Whether a folder is a released set, to which training cannot write."""
    with explained("Looking for snapshots", Path(root)):
        return (Path(root) / SET_FILE).exists()


@dataclass(frozen=True)
class SnapshotSet:
    """Candidates of one setting as they were released. Nothing is ever written here; parts are listed once."""

    root: Path
    setting: Setting
    mantissa_bits: int

    @classmethod
    def open(cls, root: Path | str) -> "SnapshotSet":
        """Open an existing set.

        Raises:
            StoreError: if there is none, or it cannot be read.
            CorruptSnapshotError: if `set.json` is damaged.
            StoreVersionError: if a newer form wrote it.
        """
        path = Path(root) / SET_FILE
        if not is_set(root):
            raise StoreError(f"No snapshot set at {root}; write one with stage=release, or correct the path.")
        with explained("Reading a snapshot set", path):
            content = unsealed(path, SET_FORMAT)
        try:
            check_schema_version(int(content["schema_version"]), f"The set {root}")
            return cls(Path(root), Setting(**content["setting"]), int(content["mantissa_bits"]))
        except (LookupError, TypeError, ValueError) as error:
            raise damaged(path, f"unreadable: {error}") from error

    @cached_property
    def parts(self) -> tuple[Part, ...]:
        """The instalments, in order.

        Raises:
            CorruptSnapshotError: if one is damaged, missing between others, or cut short.
        """
        with explained("Listing a snapshot set", self.root):
            found = numbers(self.root)
            for expected, number in enumerate(found):
                if number != expected:
                    raise damaged(self.root / f"part-{expected:04d}.json", f"missing, though part {number} is there")
            return tuple(read_part(self.root, number) for number in found)

    @cached_property
    def _found(self) -> Mapping[str, tuple[Part, Entry]]:
        longest: dict[str, tuple[Part, Entry]] = {}
        for part in self.parts:
            for entry in part.entries:
                if entry.id not in longest or entry.extent > longest[entry.id][1].extent:
                    longest[entry.id] = (part, entry)
        return dict(sorted(longest.items()))

    @cached_property
    def _final_accuracies(self) -> Mapping[str, float]:
        """By id, of whichever part knows it: a run that was trained to its end may have been released longer since."""
        entries = (entry for part in reversed(self.parts) for entry in part.entries)
        return {entry.id: entry.final_accuracy for entry in entries if entry.final_accuracy is not None}

    @property
    def index_path(self) -> Path | None:
        """None: a set may lie on read-only media, and nothing but a new part is added to it."""
        return None

    @property
    def num_bytes_in_all(self) -> int:
        """Bytes of all parts, without their lists."""
        return sum(entry.bytes for part in self.parts for entry in part.entries)

    def complete(self) -> dict[str, int]:
        """Number of snapshots of every candidate, by id in sorted order."""
        return {candidate_id: entry.snapshots for candidate_id, (_, entry) in self._found.items()}

    def failures(self) -> Mapping[str, Failure]:
        """None: failures are not released."""
        return {}

    def has(self, candidate_id: str, num_snapshots: int, to_the_end: bool = False) -> bool:
        """Whether it holds a candidate with that many snapshots (and its final accuracy)."""
        if candidate_id not in self._found:
            return False
        is_known = candidate_id in self._final_accuracies
        return self._entry(candidate_id).snapshots >= num_snapshots and (is_known or not to_the_end)

    def record(self, candidate_id: str) -> CandidateRecord:
        """Read one candidate as NumPy arrays and check every byte of it (see `read`)."""
        entry = self._entry(candidate_id)
        part = self._found[candidate_id][0]
        with explained("Reading a snapshot set", part.data):
            blob = part.blob(entry)
        try:
            record = unpack(blob, self.setting, entry.sha256)
        except (ValueError, LookupError, TypeError, RuntimeError, MemoryError) as error:
            raise damaged(part.data, f"candidate {candidate_id} cannot be unpacked: {error}") from error
        if record.candidate.id != candidate_id or len(record.arrays["values"]) != entry.snapshots:
            raise damaged(part.data, f"it holds {record.candidate.id} where {candidate_id} belongs")
        if record.final_accuracy is None:
            record = replace(record, final_accuracy=self.final_accuracy(candidate_id))
        return record

    def read(self, candidate_id: str) -> StoredCandidate:
        """Read one candidate and check every byte of it.

        Raises:
            StoreError: if there is none.
            CorruptSnapshotError: if its bytes are not those that were written.
        """
        return StoredCandidate.of(self.record(candidate_id))

    def content_sha256(self, candidate_id: str) -> str:
        """Hash of its blob, as the list of its part says."""
        return self._entry(candidate_id).sha256

    def final_accuracy(self, candidate_id: str) -> float | None:
        """Its final accuracy (fraction), as the lists of the parts say; None where it is not known.

        Raises:
            StoreError: if there is no such candidate.
        """
        return self._final_accuracies.get(self._entry(candidate_id).id)

    def stamp(self, candidate_id: str) -> str:
        """Parts are immutable, so the hash will do."""
        return self._entry(candidate_id).sha256[:16]

    def num_bytes(self, candidate_id: str) -> int:
        """Bytes of its blob."""
        return self._entry(candidate_id).bytes

    def _entry(self, candidate_id: str) -> Entry:
        if candidate_id not in self._found:
            raise StoreError(f"The snapshot set {self.root} holds no candidate {candidate_id}.")
        return self._found[candidate_id][1]
