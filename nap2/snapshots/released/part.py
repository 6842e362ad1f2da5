"""One instalment of a snapshot set: `part-0000.bin`, the blobs of some candidates, and `part-0000.json` beside it.

The JSON is written last, so that its existence means complete; a `.bin` without one is what a killed writer left.
It lists the candidates with the place, size and SHA-256 of each blob, and ends with a hash of itself.
"""

import hashlib
import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from nap2.errors import CorruptSnapshotError, StoreVersionError, in_one_line
from nap2.snapshots.candidate_folder import software_versions
from nap2.snapshots.manifest import canonical_json

FORMAT_VERSION = 1
"""Version of the form of set and parts; a newer one is refused, never misread."""

_FORMAT = "nap2-snapshot-part"
_SEAL = "seal_sha256"
_NAME = re.compile(r"part-(\d{4})\.json")


@dataclass(frozen=True, slots=True)
class Entry:
    """One candidate of a part.

    Attributes:
        id: its hash.
        arch_str: its architecture.
        seed: its seed.
        snapshots: how many are held.
        final_accuracy: our own test accuracy (fraction) at the end of the recipe, where the run went that far.
        offset: where its blob begins in the part.
        bytes: how long it is.
        sha256: hash of the blob.
    """

    id: str
    arch_str: str
    seed: int
    snapshots: int
    final_accuracy: float | None
    offset: int
    bytes: int
    sha256: str

    @property
    def extent(self) -> tuple[int, bool]:
        """Orders versions of one candidate: more snapshots, then a known final accuracy."""
        return self.snapshots, self.final_accuracy is not None


@dataclass(frozen=True)
class Part:
    """A complete instalment."""

    data: Path
    entries: tuple[Entry, ...]

    def blob(self, entry: Entry) -> bytes:
        """The bytes of one candidate.

        Raises:
            CorruptSnapshotError: if they are not those that were written.
        """
        with self.data.open("rb") as file:
            found = os.pread(file.fileno(), entry.bytes, entry.offset)
        if hashlib.sha256(found).hexdigest() != entry.sha256:
            raise damaged(self.data, f"candidate {entry.id} has another SHA-256 than was written")
        return found


def numbers(root: Path) -> list[int]:
    """Numbers of the complete parts of a set, sorted."""
    return sorted(int(match[1]) for name in os.listdir(root) if (match := _NAME.fullmatch(name)))


def unlisted(root: Path) -> list[Path]:
    """Blobs without a list, sorted: of a writer that was killed or is at work, or of a copy that lost the list."""
    return sorted(path for path in root.glob("part-*.bin") if not path.with_suffix(".json").exists())


def data_path(root: Path, number: int) -> Path:
    """Where the blobs of a part lie."""
    return root / f"part-{number:04d}.bin"


def sidecar_path(root: Path, number: int) -> Path:
    """Where the list of a part lies."""
    return root / f"part-{number:04d}.json"


def sidecar(data_sha256: str, num_bytes: int, entries: Sequence[Entry]) -> bytes:
    """The content of a part's JSON."""
    content = {
        "format": _FORMAT,
        "format_version": FORMAT_VERSION,
        "bytes": num_bytes,
        "sha256": data_sha256,
        "written_with": software_versions(),
        "candidates": [asdict(entry) for entry in entries],
    }
    return sealed(content)


def read_part(root: Path, number: int) -> Part:
    """The list of a part, verified; of its blobs only the total size.

    Raises:
        CorruptSnapshotError: if the list is damaged, or the blobs are missing or cut short.
        StoreVersionError: if a newer form wrote it.
    """
    path, data = sidecar_path(root, number), data_path(root, number)
    content = unsealed(path, _FORMAT)
    try:
        entries = tuple(Entry(**entry) for entry in content["candidates"])
        expected = int(content["bytes"])
    except (LookupError, TypeError, ValueError) as error:
        raise damaged(path, f"unreadable list: {error}") from error
    found = data.stat().st_size if data.exists() else 0
    if found != expected:
        raise damaged(data, f"{found:,} bytes where {expected:,} belong")
    return Part(data, entries)


def sealed(content: Mapping[str, Any]) -> bytes:
    """JSON that ends with a hash of what stands before."""
    seal = hashlib.sha256(canonical_json(content).encode()).hexdigest()
    return (json.dumps({**content, _SEAL: seal}, indent=1, ensure_ascii=False) + "\n").encode()


def unsealed(path: Path, form: str) -> dict[str, Any]:
    """Read what `sealed` made.

    Raises:
        CorruptSnapshotError: if it is missing, damaged, or of another form.
        StoreVersionError: if a newer form wrote it.
        OSError: if the system refuses to read it.
    """
    try:
        content: dict[str, Any] = json.loads(path.read_bytes())
        seal = content.pop(_SEAL)
        found, version = content["format"], int(content["format_version"])
    except (FileNotFoundError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise damaged(path, in_one_line(error)) from error
    if found == form and version > FORMAT_VERSION:
        raise StoreVersionError(
            f"{path} has format version {version}, this nap2 reads up to version {FORMAT_VERSION}; update nap2."
        )
    if found != form or hashlib.sha256(canonical_json(content).encode()).hexdigest() != seal:
        raise damaged(path, "its own SHA-256 does not fit" if found == form else f"format {found!r}")
    return content


def damaged(path: Path, reason: str) -> CorruptSnapshotError:
    """One line that names the file and what to do."""
    return CorruptSnapshotError(f"{path} is damaged ({reason}); fetch the released file again (git restore {path}).")
