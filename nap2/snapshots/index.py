"""An overview of a store that can always be rebuilt: every candidate verified, one row each in `index.csv`."""

import csv
import errno
import io
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, fields, replace
from itertools import chain
from pathlib import Path

from nap2.errors import CorruptSnapshotError, StoreError, counted
from nap2.schema import COUNTS
from nap2.snapshots.disk import explained, write_atomically
from nap2.snapshots.joint import JointSnapshots, Member
from nap2.snapshots.reader import SnapshotReader

COMPLETE, CORRUPT, REFUSED, FAILED = "complete", "corrupt", "refused", "failed"

SAVE_EVERY = 100
"""Verified candidates after which what was found is saved: a whole search space takes long, and may be interrupted."""


@dataclass(frozen=True, slots=True)
class IndexRow:
    """One candidate.

    Attributes:
        id: its hash.
        status: `complete` (verified), `corrupt` (damaged bytes), `refused` (cannot be read here, or another schema),
            `failed` (no snapshot, a failure record).
        reason: why it is not complete, in one line.
        arch_str: its architecture; empty where it cannot be read.
        seed: its seed; -1 where it cannot be read.
        dataset: its image set.
        snapshots: how many it holds.
        layers: how many layers were recorded.
        bytes: its size on disk.
        final_accuracy: test accuracy (fraction) at the end of the recipe, where known.
        counts: occurrences over all snapshots and modalities, in the order of `nap2.schema.COUNTS`.
        content_sha256: the hash that was checked.
        stamp: changes whenever a file of its folder is written.
    """

    id: str
    status: str
    reason: str = ""
    arch_str: str = ""
    seed: int = -1
    dataset: str = ""
    snapshots: int = 0
    layers: int = 0
    bytes: int = 0
    final_accuracy: float | None = None
    counts: tuple[int, ...] = (0,) * len(COUNTS)
    content_sha256: str = ""
    stamp: str = ""


@dataclass(frozen=True)
class IndexSummary:
    """What a refresh found.

    Attributes:
        rows: one per candidate, by id.
        num_verified: candidates whose bytes were read this time; the others had not changed.
        path: the CSV file; None where none is kept.
        damaged_copies: of a joint view, damaged candidates in place of which another member's is read.
    """

    rows: list[IndexRow]
    num_verified: int
    path: Path | None
    damaged_copies: tuple[IndexRow, ...] = ()

    @property
    def count_by_status(self) -> dict[str, int]:
        """How many candidates are complete, corrupt, …"""
        return dict(Counter(row.status for row in self.rows))

    @property
    def corrupt(self) -> list[IndexRow]:
        """All that is damaged, also where a copy is read instead: delete the folders and run stage=snapshot again."""
        return [*(row for row in self.rows if row.status == CORRUPT), *self.damaged_copies]


def refresh_index(
    store: SnapshotReader, full: bool = False, progress: Callable[[Sequence[str]], Iterable[str]] = iter
) -> IndexSummary:
    """Verify what changed since the last refresh and write `index.csv` atomically. Nothing is ever deleted.

    An interrupted refresh leaves the rows of what it had verified, so the next one goes on from there.

    Args:
        store: a store or a released set; where nothing can be written it is indexed in memory only. Of a joint view
            each member is refreshed, and a candidate's row is that of the member it is read from, with the final
            accuracy that any intact one knows.
        full: read every byte again (bits can rot without a file's time or size changing).
        progress: wraps the ids that are about to be verified, to show how far it is.

    Raises:
        StoreError: if the disk is full.
    """
    if isinstance(store, JointSnapshots):
        return _joint([refresh_index(member, full, progress) for member in store.members])
    path, complete = store.index_path, store.complete()
    known = {} if full or path is None else {row.id: row for row in read_index(path) if row.status == COMPLETE}
    stamps = {i: store.stamp(i) for i in complete}
    rows = {i: row for i, row in known.items() if (row.snapshots, row.stamp) == (complete.get(i), stamps.get(i))}
    changed = [i for i in complete if i not in rows]
    for number, candidate_id in enumerate(progress(changed), 1):
        if (row := _verified(store, candidate_id, complete[candidate_id], stamps[candidate_id])) is not None:
            rows[candidate_id] = row
        if number % SAVE_EVERY == 0:
            _write(path, rows)
    _add_failures(store, rows)
    _write(path, rows)
    return IndexSummary(_in_order(rows), len(changed), path)


def read_index(path: Path) -> list[IndexRow]:
    """The rows of an `index.csv`; none if it cannot be read or is not of this form, for it can be rebuilt."""
    try:
        with open(path, newline="", encoding="utf-8") as file:
            return [_parsed(line) for line in csv.DictReader(file)]
    except (OSError, ValueError, KeyError, TypeError, csv.Error):
        return []


def _joint(summaries: Sequence[IndexSummary]) -> IndexSummary:
    versions: dict[str, list[IndexRow]] = defaultdict(list)
    for row in chain.from_iterable(summary.rows for summary in summaries):
        versions[row.id].append(row)
    rows, damaged_copies = [], []
    for candidate_id in sorted(versions):
        # As the joint view chooses: damage last, then the longest (failures hold no snapshot), then the first named.
        first, *others = sorted(
            versions[candidate_id], key=lambda row: (row.status in (CORRUPT, FAILED), -row.snapshots)
        )
        damaged_copies += [row for row in others if row.status == CORRUPT]
        if first.status == COMPLETE and first.final_accuracy is None:
            known = (row.final_accuracy for row in others if row.final_accuracy is not None)
            first = replace(first, final_accuracy=next(known, None))
        rows.append(first)
    num_verified = sum(summary.num_verified for summary in summaries)
    return IndexSummary(rows, num_verified, None, tuple(damaged_copies))


def _verified(store: Member, candidate_id: str, longest: int, stamp: str) -> IndexRow | None:
    try:
        record = store.record(candidate_id)
    except CorruptSnapshotError as error:
        return IndexRow(candidate_id, CORRUPT, str(error), snapshots=longest, stamp=stamp)
    except StoreError as error:
        gone = candidate_id not in store.complete()  # deleted while we were at work
        return None if gone else IndexRow(candidate_id, REFUSED, str(error), snapshots=longest, stamp=stamp)
    arrays = record.arrays
    return IndexRow(
        candidate_id,
        COMPLETE,
        arch_str=record.candidate.arch_str,
        seed=record.candidate.seed,
        dataset=record.candidate.setting.dataset,
        snapshots=len(arrays["values"]),
        layers=len(arrays["units"]),
        bytes=store.num_bytes(candidate_id),
        final_accuracy=record.final_accuracy,
        counts=tuple(arrays["counts"].sum(axis=(0, 1)).tolist()),
        content_sha256=record.content_sha256,
        stamp=stamp,
    )


def _add_failures(store: Member, rows: dict[str, IndexRow]) -> None:
    for candidate_id, failure in store.failures().items():
        if candidate_id not in rows:
            reason = f"{failure.reason} ({counted(failure.tries, 'try', 'tries')})"
            dataset = store.setting.dataset
            rows[candidate_id] = IndexRow(candidate_id, FAILED, reason, failure.arch_str, failure.seed, dataset)


def _in_order(rows: dict[str, IndexRow]) -> list[IndexRow]:
    return [rows[candidate_id] for candidate_id in sorted(rows)]


def _write(path: Path | None, rows: dict[str, IndexRow]) -> None:
    if path is None:
        return
    content = io.BytesIO()
    text = io.TextIOWrapper(content, encoding="utf-8", newline="")
    names = [field.name for field in fields(IndexRow) if field.name != "counts"]
    writer = csv.DictWriter(text, [*names, *COUNTS], lineterminator="\n")
    writer.writeheader()
    for row in _in_order(rows):
        writer.writerow({name: getattr(row, name) for name in names} | dict(zip(COUNTS, row.counts, strict=True)))
    text.flush()
    try:
        if path.exists() and path.read_bytes() == content.getbuffer():
            return
        write_atomically(path, content.getvalue())
    except OSError as error:
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            return  # somebody else's store: what was found is still returned
        with explained("Writing the index", path):
            raise


def _parsed(line: dict[str, str]) -> IndexRow:
    values: dict[str, object] = {name: line[name] for name in ("id", "status", "reason", "arch_str", "dataset")}
    values |= {name: int(line[name]) for name in ("seed", "snapshots", "layers", "bytes")}
    values |= {name: line[name] for name in ("content_sha256", "stamp")}
    accuracy = float(line["final_accuracy"]) if line["final_accuracy"] else None
    counts = tuple(int(line[name]) for name in COUNTS)
    return IndexRow(final_accuracy=accuracy, counts=counts, **values)  # type: ignore[arg-type]  # a row of text
