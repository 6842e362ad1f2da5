"""The snapshot store: what training writes and every later stage reads.

<root>/zarr.json                  the setting all its candidates share
<root>/candidates/<id>-T<k>/      one Zarr root per complete candidate; existence means complete, the longest wins
<root>/.staging/<id>/             claim, resumable state and unfinished folder of a candidate at work
<root>/failed/<id>.json           candidates that failed
<root>/index.csv                  a rebuildable overview (`nap2.snapshots.index`)
<root>/images.json                on which images its candidates were trained (`nap2.snapshots.image_note`)
"""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from nap2.errors import CorruptSnapshotError, StoreError
from nap2.snapshots import candidate_folder, half_copies, shelf
from nap2.snapshots.candidate_folder import CandidateRecord
from nap2.snapshots.claims import Claim, claimed
from nap2.snapshots.disk import explained
from nap2.snapshots.failures import Failure, read_failures, write_failure
from nap2.snapshots.manifest import Candidate, Setting
from nap2.snapshots.store_root import create_root, read_setting
from nap2.snapshots.stored_candidate import StoredCandidate
from nap2.snapshots.writer import STATE, CandidateWriter

Value = TypeVar("Value")

_LOOKS = 16
"""Candidates that are looked for at once; each look waits for a file server, if there is one."""


@dataclass(frozen=True)
class SnapshotStore:
    """Snapshots of many candidates of one setting. Cheap to build, safe to share: it holds no open file."""

    root: Path
    setting: Setting

    @classmethod
    def create(cls, root: Path | str, setting: Setting) -> "SnapshotStore":
        """Make a store, or open the one that is there; any number of processes may do so at once.

        Raises:
            StoreError: if a store of another setting is there (each difference is named), or it cannot be written.
            StoreVersionError: if another schema wrote it.
        """
        create_root(Path(root), setting)
        return cls(Path(root), setting)

    @classmethod
    def open(cls, root: Path | str) -> "SnapshotStore":
        """Open an existing store.

        Raises:
            StoreError: if there is none.
            StoreVersionError: if another schema wrote it.
        """
        return cls(Path(root), read_setting(Path(root)))

    @property
    def shelf(self) -> Path:
        """The folder of complete candidates."""
        return self.root / "candidates"

    @property
    def staging(self) -> Path:
        """The folder of candidates at work."""
        return self.root / ".staging"

    @property
    def index_path(self) -> Path | None:
        """Where the overview is kept."""
        return self.root / "index.csv"

    def complete(self) -> dict[str, int]:
        """Number of snapshots of every complete candidate, by id in sorted order."""
        with explained("Listing candidates", self.shelf):
            return shelf.longest_by_id(self.shelf)

    def cut_short(self, candidate_ids: Iterable[str]) -> list[Path]:
        """Folders of those of these candidates that count as complete and yet lack files, without opening any."""
        with explained("Looking for candidates", self.shelf):
            held = shelf.longest_by_id(self.shelf)
            folders = [shelf.folder_of(self.shelf, i, held[i]) for i in candidate_ids if i in held]
            with ThreadPoolExecutor(_LOOKS) as looks:
                lacking = list(looks.map(half_copies.lacks_files, folders))
            return [one for one, lacks in zip(folders, lacking, strict=True) if lacks and one.is_dir()]

    def failures(self) -> dict[str, Failure]:
        """Why candidates failed, by id in sorted order."""
        with explained("Listing failed candidates", self.root / "failed"):
            return read_failures(self.root / "failed")

    @contextmanager
    def claim(
        self, candidate: Candidate, num_snapshots: int, to_the_end: bool = False
    ) -> Iterator[CandidateWriter | None]:
        """Hold a candidate for the block; None if it is complete already or somebody alive holds it.

        Args:
            candidate: of this store's setting.
            num_snapshots: how many are wanted; a shorter complete one does not count.
            to_the_end: whether its final accuracy is wanted too.

        Raises:
            StoreError: if the candidate belongs to another setting, or the store cannot be written.
        """
        if differences := candidate.setting.differences(self.setting):
            raise StoreError(f"Candidate {candidate.id} does not belong to {self.root}: {'; '.join(differences)}.")
        staged = self.staging / candidate.id
        with explained("Looking for a candidate", self.shelf):
            is_complete = self.has(candidate.id, num_snapshots, to_the_end)
            is_left_alone = not staged.exists()
        if is_complete and is_left_alone:
            yield None
            return
        with _explained_claim(staged) as claim:
            if claim is None:
                yield None
                return
            with explained("Looking for a candidate", self.shelf):
                shelf.settle(self.shelf, candidate.id, self.staging)
            if is_complete or self.has(candidate.id, num_snapshots, to_the_end):  # finished while we were claiming
                yield None
            else:
                yield CandidateWriter(candidate, staged / STATE, self.root, claim, to_the_end)

    def folder(self, candidate_id: str) -> Path:
        """The folder of the longest complete one.

        Raises:
            StoreError: if there is none.
        """
        with explained("Looking for a candidate", self.shelf):
            found = shelf.find(self.shelf, candidate_id)
        if found is None:
            raise StoreError(f"The store {self.root} holds no complete candidate {candidate_id}; run stage=snapshot.")
        return found

    def record(self, candidate_id: str) -> CandidateRecord:
        """Read one candidate as NumPy arrays and check every byte of it (see `read`)."""

        def read(folder: Path) -> CandidateRecord:
            record = candidate_folder.read_candidate(folder)
            found, length = record.candidate.id, len(record.arrays["values"])
            if (found, length) != (candidate_id, shelf.snapshots_of(folder)):
                raise CorruptSnapshotError(
                    f"{folder} holds candidate {found}-T{length} and not the one its name says; delete it and run "
                    f"stage=snapshot again."
                )
            if differences := record.candidate.setting.differences(self.setting):
                raise StoreError(
                    f"{folder} is of another setting than its store ({'; '.join(differences[:3])}); move it into a "
                    "store of its own, or delete it."
                )
            return record

        return self._while_it_stays(candidate_id, read)

    def read(self, candidate_id: str) -> StoredCandidate:
        """Read one candidate and check every byte of it.

        Raises:
            StoreError: if there is none.
            CorruptSnapshotError: if its bytes are not those that were written.
            StoreVersionError: if another schema wrote it.
        """
        return StoredCandidate.of(self.record(candidate_id))

    def has(self, candidate_id: str, num_snapshots: int, to_the_end: bool = False) -> bool:
        """Whether it holds a candidate with that many snapshots (and its final accuracy).

        Raises:
            StoreError: if more snapshots than that would be lost by training it to its end.
        """
        longest = shelf.longest_of(self.shelf, candidate_id)
        if longest < num_snapshots or not to_the_end:
            return longest >= num_snapshots
        if self.final_accuracy(candidate_id) is not None:
            return True
        if longest > num_snapshots:
            raise StoreError(
                f"Candidate {candidate_id} has {longest} snapshots and no final accuracy; ask for {longest} snapshots "
                f"instead of {num_snapshots} to train it to the end without losing any."
            )
        return False

    def content_sha256(self, candidate_id: str) -> str:
        """The hash that its attributes name, unverified: it names the content."""
        return str(self._while_it_stays(candidate_id, candidate_folder.read_attributes)["content_sha256"])

    def final_accuracy(self, candidate_id: str) -> float | None:
        """The final accuracy (fraction) that its attributes name, unverified; None where it is not known."""
        accuracy: float | None = self._while_it_stays(candidate_id, candidate_folder.read_attributes)["final_accuracy"]
        return accuracy

    def stamp(self, candidate_id: str) -> str:
        """Changes whenever a file of its longest folder is written; empty if that was replaced just now."""
        return shelf.stamp(self.folder(candidate_id))

    def num_bytes(self, candidate_id: str) -> int:
        """Its size on disk."""
        return self._while_it_stays(candidate_id, lambda folder: sum(size for _, size, _ in shelf.files(folder)))

    def record_failure(self, candidate: Candidate, reason: str, step: int | None = None) -> Failure:
        """Note that a candidate failed (once more), with its reason in one line and the step it reached."""
        with explained(f"Recording the failure of candidate {candidate.id}", self.root / "failed"):
            return write_failure(self.root / "failed", candidate, reason, step)

    def _while_it_stays(self, candidate_id: str, read: Callable[[Path], Value]) -> Value:
        """What `read` makes of the longest folder; looks again if another one took its place meanwhile."""
        while True:
            folder = self.folder(candidate_id)
            before = shelf.identity(folder)
            try:
                return read(folder)
            except (CorruptSnapshotError, FileNotFoundError):
                if before is not None and shelf.identity(folder) == before:
                    raise


@contextmanager
def _explained_claim(folder: Path) -> Iterator[Claim | None]:
    """`claimed(folder)`, whose own errors (not those of the block) become one line."""
    holding = claimed(folder)
    with explained("Claiming a candidate", folder):
        claim = holding.__enter__()
    try:
        yield claim
    finally:
        with explained("Releasing a candidate", folder):
            holding.__exit__(None, None, None)
