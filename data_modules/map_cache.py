"""A bounded file of decoded, log-normalised maps that fills while the first epoch reads the store.

One file per set of candidates, named after a hash of their contents: `<modality>-<key>.maps` holds the ragged entries
(float32) of one candidate after another, then an index, then the index's place. It grows as `….building` under an
exclusive lock and is renamed when it is whole, so that a second process reads the store meanwhile, a killed one leaves
nothing that is believed, and a changed store has another key. Maps are read with `pread`: nothing stays mapped, and
memory does not grow with the file.
"""

import fcntl
import json
import logging
import os
import struct
import zlib
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np

from nap2.snapshots.manifest import canonical_json

_FORMAT = "nap2-maps-1"
_TAIL = struct.Struct("<QI16s")  # offset and CRC32 of the index, format
_log = logging.getLogger(__name__)

Entries = np.ndarray[Any, np.dtype[np.float32]]


@dataclass(frozen=True, slots=True)
class _Place:
    """Where the maps of one candidate lie."""

    offset: int
    units: tuple[int, ...]
    num_entries: int
    checksums: tuple[int, ...]  # CRC32 of each map


@dataclass
class MapCache:
    """The maps of some candidates in one open file.

    Attributes:
        path: its final name.
        num_bytes_allowed: bound on all caches of its folder together.
        is_building: whether it still grows here; otherwise it is whole.
    """

    path: Path
    num_bytes_allowed: int
    is_building: bool
    _descriptor: int
    _places: dict[str, _Place] = field(default_factory=dict)
    _end: int = 0
    _checked: dict[str, int] = field(default_factory=dict)  # a bit for each snapshot: pairs would take 37 MB

    def __contains__(self, candidate_id: str) -> bool:
        return candidate_id in self._places

    def __del__(self) -> None:
        with suppress(OSError):
            os.close(self._descriptor)

    def entries(self, candidate_id: str, snapshot: int) -> tuple[Entries, tuple[int, ...]] | None:
        """Float32 `[N]` of one map and the units of its layers; None if it is not here or damaged."""
        place = self._places.get(candidate_id)
        if place is None:
            return None
        entries = np.empty(place.num_entries, dtype=np.float32)
        content = os.pread(self._descriptor, entries.nbytes, place.offset + snapshot * entries.nbytes)
        entries.view(np.uint8)[: len(content)] = np.frombuffer(content, dtype=np.uint8)
        checked = self._checked.get(candidate_id, 0)
        is_new = not checked >> snapshot & 1  # checksums are compared once per process
        if len(content) != entries.nbytes or (is_new and zlib.crc32(entries.data) != place.checksums[snapshot]):
            _log.warning("%s is damaged at candidate %s, which is read from the store.", self.path, candidate_id)
            del self._places[candidate_id]
            return None
        self._checked[candidate_id] = checked | 1 << snapshot
        return entries, place.units

    def add(self, candidate_id: str, maps: Entries, units: tuple[int, ...]) -> None:
        """Keep the maps `[T, N]` of one candidate, unless the bound is reached."""
        if not self.is_building or candidate_id in self or not self._make_room(maps.nbytes):
            return
        place = _Place(self._end, units, maps.shape[1], tuple(zlib.crc32(row.data) for row in maps))
        try:
            _write(self._descriptor, maps.reshape(-1).view(np.uint8).data, self._end)
        except OSError as error:
            self._give_up(error)
            return
        self._places[candidate_id] = place
        self._end += maps.nbytes

    def finish(self) -> None:
        """Declare the file whole and put it in place."""
        if not self.is_building:
            return
        index = _index_bytes(self._places)
        try:
            _write(self._descriptor, index + _TAIL.pack(self._end, zlib.crc32(index), _FORMAT.encode()), self._end)
            os.fsync(self._descriptor)
            os.rename(_building(self.path), self.path)
        except OSError as error:
            self._give_up(error)
            return
        self.is_building = False
        fcntl.flock(self._descriptor, fcntl.LOCK_UN)

    def _make_room(self, num_bytes: int) -> bool:
        """Evict the caches used least recently until this one may grow."""
        others = [path for path in self.path.parent.glob("*-*.maps") if path != self.path]
        sizes = {path: (status.st_mtime_ns, status.st_size) for path in others if (status := _status(path))}
        room = self.num_bytes_allowed - self._end - num_bytes
        for path in sorted(sizes, key=lambda path: sizes[path]):
            if sum(size for _, size in sizes.values()) <= room or room < 0:
                break
            path.unlink(missing_ok=True)
            del sizes[path]
        return sum(size for _, size in sizes.values()) <= room

    def _give_up(self, error: OSError) -> None:
        _log.warning("No cache of feature maps in %s (%s); maps are read from the store.", self.path.parent, error)
        self.is_building = False
        self._places.clear()
        _building(self.path).unlink(missing_ok=True)


def cache_key(modality: str, contents: Iterable[tuple[str, int, str]]) -> str:
    """A name for the maps of these candidates: (id, snapshots used, content hash) of each."""
    return sha256(canonical_json([_FORMAT, modality, list(contents)]).encode()).hexdigest()[:24]


def open_cache(folder: Path, modality: str, key: str, num_gb: float) -> MapCache | None:
    """The whole cache, or an empty one to fill; None while another process fills it, or where none can be kept."""
    path, allowed = folder / f"{modality}-{key}.maps", int(num_gb * 1e9)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return _opened(path, allowed) or _started(path, allowed) or _opened(path, allowed)
    except OSError as error:
        _log.warning("No cache of feature maps in %s (%s); maps are read from the store.", folder, error)
        return None


def _opened(path: Path, allowed: int) -> MapCache | None:
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return None
    cache = MapCache(path, allowed, False, descriptor)
    places = _read_index(descriptor)
    if places is None:
        path.unlink(missing_ok=True)
        return None
    cache._places = places
    with suppress(OSError):
        os.utime(path)  # used just now
    return cache


def _started(path: Path, allowed: int) -> MapCache | None:
    for leftover in path.parent.glob("*-*.building"):
        if leftover != _building(path):
            _remove_if_abandoned(leftover)
    descriptor = os.open(_building(path), os.O_RDWR | os.O_CREAT, 0o666)
    cache = MapCache(path, allowed, True, descriptor)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return None
    status = _status(_building(path))
    if status is None or not os.path.samestat(status, os.fstat(descriptor)):  # finished by another process just now
        return None
    os.ftruncate(descriptor, 0)
    return cache


def _remove_if_abandoned(building: Path) -> None:
    """Delete what a killed process left; a living one holds its lock."""
    with suppress(OSError), open(building, "r+b") as file:  # over NFS, who may not write gets no lock
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        building.unlink(missing_ok=True)


def _building(path: Path) -> Path:
    return path.with_suffix(".building")


def _status(path: Path) -> os.stat_result | None:
    try:
        return path.stat()
    except FileNotFoundError:
        return None


def _write(descriptor: int, content: bytes | memoryview, offset: int) -> None:
    view = memoryview(content)
    while view:
        written = os.pwrite(descriptor, view, offset)
        view, offset = view[written:], offset + written


def _index_bytes(places: dict[str, _Place]) -> bytes:
    """JSON: the distinct unit tuples once, then of each candidate its offset, units, entries and checksums."""
    number = {units: i for i, units in enumerate(dict.fromkeys(place.units for place in places.values()))}
    rows = {name: [p.offset, number[p.units], p.num_entries, p.checksums] for name, p in places.items()}
    return canonical_json({"units": list(number), "candidates": rows}).encode()


def _read_index(descriptor: int) -> dict[str, _Place] | None:
    """What `_index_bytes` wrote; None if the file is not whole."""
    end = os.fstat(descriptor).st_size - _TAIL.size
    try:
        offset, checksum, name = _TAIL.unpack(os.pread(descriptor, _TAIL.size, max(end, 0)))
        index = os.pread(descriptor, end - offset, offset)
        if name.rstrip(b"\0").decode() != _FORMAT or zlib.crc32(index) != checksum:
            return None
        content = json.loads(index)
    except (struct.error, OSError, ValueError, OverflowError):
        return None
    units = [tuple(u) for u in content["units"]]
    return {i: _Place(at, units[n], size, tuple(sums)) for i, (at, n, size, sums) in content["candidates"].items()}
