"""Adding the next instalment to a snapshot set: one writer at a time, nothing that exists is touched."""

import hashlib
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from nap2.errors import CorruptSnapshotError, StoreError
from nap2.schema import SCHEMA_VERSION
from nap2.snapshots.candidate_folder import CandidateRecord, software_versions
from nap2.snapshots.claims import Claim, claimed
from nap2.snapshots.disk import create_once, explained, make_durable, token
from nap2.snapshots.image_note import NOTE, check_same_images
from nap2.snapshots.manifest import Setting
from nap2.snapshots.released.packing import pack
from nap2.snapshots.released.part import FORMAT_VERSION, Entry, data_path, numbers, sealed, sidecar, sidecar_path
from nap2.snapshots.released.reduction import KEPT
from nap2.snapshots.released.snapshot_set import SET_FILE, SET_FORMAT, SnapshotSet
from nap2.snapshots.store import SnapshotStore

MB = 1e6


@dataclass(frozen=True)
class Limits:
    """How large things may become.

    Attributes:
        at_most: candidates of a part.
        at_least: fewer are left for a later part.
        part_mb: megabytes added at once.
        set_mb: megabytes of the whole set.
        all_mb: megabytes of all sets that lie beside it, its own among them.
    """

    at_most: int = 100
    at_least: int = 1
    part_mb: float = 40.0
    set_mb: float = 60.0
    all_mb: float = 150.0


@dataclass(frozen=True)
class NewPart:
    """What a call did.

    Attributes:
        path: the list of the part that was written; None if there was not enough that is new.
        num_candidates: candidates written.
        num_bytes: bytes of their blobs.
        num_waiting: candidates that the set still lacks, or could hold a better version of.
        damaged: one line each for candidates of the store that could not be read.
    """

    path: Path | None
    num_candidates: int
    num_bytes: int
    num_waiting: int
    damaged: tuple[str, ...]


def add_part(
    root: Path | str,
    store: SnapshotStore,
    bits: int,
    limits: Limits,
    progress: Callable[[Sequence[str]], Iterable[str]] = iter,
) -> NewPart:
    """Write the candidates that a set lacks, or holds shorter or without a final accuracy, as its next part.

    Args:
        root: the set; made if there is none.
        store: where the candidates are; every byte is verified.
        bits: mantissa bits kept of each statistic, 1..23; one number for a whole set.
        limits: see `Limits`.
        progress: wraps the ids that are about to be packed.

    Raises:
        StoreError: if the set belongs to another setting or is of other images, keeps other bits, is being written by
            somebody else, would become too large, or cannot be written.
        CorruptSnapshotError: if a part of it is damaged.
    """
    root = Path(root)
    staging = root / ".writing"
    with explained("Adding to a snapshot set", root), claimed(staging) as claim:
        if claim is None:
            raise StoreError(f"Another process is adding to {root} just now; call again when {staging} is free.")
        claim.keep_folder = False  # half a part is of no use to anybody, least of all on a full disk
        for leftover in root.glob(".*.tmp"):  # of a killed writer: whoever writes here holds the claim
            leftover.unlink(missing_ok=True)
        _make_set(root, store.setting, bits)
        check_same_images(store.root, root)
        return _add(claim, SnapshotSet.open(root), store, limits, progress)


def _add(
    claim: Claim,
    released: SnapshotSet,
    store: SnapshotStore,
    limits: Limits,
    progress: Callable[[Sequence[str]], Iterable[str]],
) -> NewPart:
    new = [i for i, snapshots in store.complete().items() if _is_new(released, store, i, snapshots)]
    if len(new) < max(1, limits.at_least):
        return NewPart(None, 0, 0, len(new), ())
    blobs: list[bytes] = []
    entries: list[Entry] = []
    damaged: list[str] = []
    for candidate_id in progress(new):
        if len(entries) == limits.at_most:
            break
        try:
            record = store.record(candidate_id)
        except CorruptSnapshotError as error:
            damaged.append(str(error))
            continue
        blobs.append(pack(record, released.mantissa_bits))
        entries.append(_entry(record, blobs[-1], offset=sum(map(len, blobs[:-1]))))
    if not entries:
        return NewPart(None, 0, 0, len(new), tuple(damaged))
    data = b"".join(blobs)
    _check_size(released, len(data), len(entries), limits)
    if (note := store.root / NOTE).exists():  # before the part: whoever finds that one finds on which images it is
        create_once(released.root / NOTE, note.read_bytes())
    path = _place(claim, released.root, data, entries)
    return NewPart(path, len(entries), len(data), len(new) - len(entries), tuple(damaged))


def _is_new(released: SnapshotSet, store: SnapshotStore, candidate_id: str, snapshots: int) -> bool:
    """Whether a set lacks a candidate of a store, or holds it shorter, or without a final accuracy known by now."""
    if not released.has(candidate_id, snapshots):
        return True
    if released.final_accuracy(candidate_id) is not None or released.has(candidate_id, snapshots + 1):
        return False
    try:
        return store.final_accuracy(candidate_id) is not None
    except CorruptSnapshotError:
        return True  # reading it will say so


def _entry(record: CandidateRecord, blob: bytes, offset: int) -> Entry:
    candidate, digest = record.candidate, hashlib.sha256(blob).hexdigest()
    snapshots, accuracy = len(record.arrays["values"]), record.final_accuracy
    return Entry(candidate.id, candidate.arch_str, candidate.seed, snapshots, accuracy, offset, len(blob), digest)


def _place(claim: Claim, root: Path, data: bytes, entries: Sequence[Entry]) -> Path:
    """Blobs first, the list last; blobs without a list are what a killed writer left, and are replaced."""
    number = len(numbers(root))
    staged = claim.folder / f"write-{token()}"
    staged.mkdir()
    (staged / "data").write_bytes(data)
    make_durable(staged)
    if not claim.is_mine():  # this process was suspended for minutes, and what is there by now is not to be touched
        raise StoreError(f"Another process took over adding to {root}; call again.")
    os.replace(staged / "data", data_path(root, number))
    staged.rmdir()
    path = sidecar_path(root, number)
    if not create_once(path, sidecar(hashlib.sha256(data).hexdigest(), len(data), entries)):
        raise StoreError(f"Another process wrote {path} just now; call again.")
    return path


def _make_set(root: Path, setting: Setting, bits: int) -> None:
    with explained("Making a snapshot set", root):
        if not (root / SET_FILE).exists():
            create_once(root / SET_FILE, _set_file(setting, bits))
    found = SnapshotSet.open(root)
    if differences := setting.differences(found.setting):
        raise StoreError(
            f"The set {root} belongs to another setting (store ≠ set): {'; '.join(differences)}; "
            f"give release.folder another name."
        )
    if found.mantissa_bits != bits:
        raise StoreError(
            f"The set {root} keeps {found.mantissa_bits} mantissa bits, not {bits}; "
            f"set release.mantissa_bits={found.mantissa_bits}, or give release.folder another name."
        )


def _set_file(setting: Setting, bits: int) -> bytes:
    content = {
        "format": SET_FORMAT,
        "format_version": FORMAT_VERSION,
        "schema_version": SCHEMA_VERSION,
        "setting": setting.as_dict(),
        "mantissa_bits": bits,
        "relative_error": 2.0 ** -(bits + 1),
        "kept": list(KEPT),
        "derived": {
            "std": "sqrt(variance)",
            "covariance": "variance * d / (d - 1)",
            "l2_norm": "sqrt(d * (variance + mean^2))",
            "quantiles 0, 50, 100 %": "minimum, median, maximum",
        },
        "made_with": software_versions(),
    }
    return sealed(content)


def _check_size(released: SnapshotSet, num_bytes: int, num_candidates: int, limits: Limits) -> None:
    root, leftover = released.root.absolute(), data_path(released.root.absolute(), len(released.parts))
    beside = sum(path.stat().st_size for path in root.parent.glob("*/part-*.bin") if path != leftover)
    for what, size, allowed in (
        ("A part", num_bytes, limits.part_mb * MB),
        ("The set", released.num_bytes_in_all + num_bytes, limits.set_mb * MB),
        (f"The sets in {root.parent}", beside + num_bytes, limits.all_mb * MB),
    ):
        if size > allowed:
            fitting = max(0, int(num_candidates * (allowed - (size - num_bytes)) / num_bytes))
            advice = f"release.at_most={fitting} fits" if fitting else "keep fewer mantissa bits, in another set"
            raise StoreError(
                f"{what} would be {size / MB:.1f} MB, more than the {allowed / MB:.1f} MB allowed "
                f"({num_bytes / num_candidates / 1e3:.0f} kB a candidate); {advice}."
            )
