"""Which candidates are complete: folders `candidates/<id>-T<snapshots>`, whose existence means complete.

Two folders cannot be swapped in one step on every file system. So where one takes the place of another of as many
snapshots, the old one is called `<id>-T<snapshots>.replaced` until the new one stands there, and is found by that name.
"""

import hashlib
import os
import re
from contextlib import suppress
from itertools import chain
from pathlib import Path

from nap2.schema import MAX_SNAPSHOTS
from nap2.snapshots.disk import move_folder, remove_folder, set_aside

_ASIDE = ".replaced"
_FOLDER = re.compile(rf"([0-9a-f]{{16}})-T([1-9]\d*)(?:{re.escape(_ASIDE)})?")
_LENGTHS = range(MAX_SNAPSHOTS, 0, -1)


def folder_of(shelf: Path, candidate_id: str, num_snapshots: int) -> Path:
    """Where a candidate of this many snapshots stands."""
    return shelf / f"{candidate_id}-T{num_snapshots}"


def longest_by_id(shelf: Path) -> dict[str, int]:
    """Snapshots of the longest folder of each candidate, by id in sorted order; one listing, nothing is opened."""
    found: dict[str, int] = {}
    for name in os.listdir(shelf):
        if match := _FOLDER.fullmatch(name):
            found[match[1]] = max(int(match[2]), found.get(match[1], 0))
    return dict(sorted(found.items()))


def longest_of(shelf: Path, candidate_id: str) -> int:
    """Snapshots of the longest folder of one candidate, 0 if there is none; without listing the whole shelf."""
    return snapshots_of(found) if (found := find(shelf, candidate_id)) else 0


def find(shelf: Path, candidate_id: str) -> Path | None:
    """The longest folder of one candidate, or None; without listing the whole shelf."""
    folders = [folder_of(shelf, candidate_id, k) for k in _LENGTHS]
    # Once more at the end: if neither was found, the first look was during a replacement, the second one after it.
    return next(filter(Path.is_dir, chain(folders, map(_aside, folders), folders)), None)


def snapshots_of(folder: Path) -> int:
    """How many snapshots the name of a folder says it holds."""
    return int(folder.name.removesuffix(_ASIDE).rpartition("-T")[2])


def identity(folder: Path) -> tuple[int, int] | None:
    """Tells a folder from another one that took its place; None if there is none."""
    try:
        status = os.stat(folder)
    except FileNotFoundError:
        return None
    return status.st_dev, status.st_ino


def place(staged: Path, shelf: Path, candidate_id: str, num_snapshots: int, trash: Path, replace: bool) -> None:
    """Rename a finished folder onto the shelf, then take the shorter ones away.

    If one of the same length is there already, it stays (both hold the same run), unless `replace`.
    """
    target = folder_of(shelf, candidate_id, num_snapshots)
    try:
        while not move_folder(staged, target):
            if not replace:
                remove_folder(staged, trash)
                break
            with suppress(FileNotFoundError):
                set_aside(target, _aside(target))
    finally:
        _settle(target, trash)
    for shorter in range(1, num_snapshots):
        if (folder := folder_of(shelf, candidate_id, shorter)).exists():
            _take_away(folder, trash)


def settle(shelf: Path, candidate_id: str, trash: Path) -> None:
    """End what a killed process was replacing: the old folder goes, or comes back if the new one is not there."""
    for length in _LENGTHS:
        _settle(folder_of(shelf, candidate_id, length), trash)


def _settle(folder: Path, trash: Path) -> None:
    if (aside := _aside(folder)).is_dir() and not move_folder(aside, folder):
        _take_away(aside, trash)


def _take_away(folder: Path, trash: Path) -> None:
    """Remove what a better one has replaced; another user's, which we may not, stays beside it and is read no more."""
    with suppress(PermissionError):
        remove_folder(folder, trash)


def _aside(folder: Path) -> Path:
    return folder.with_name(folder.name + _ASIDE)


def files(folder: Path | str, prefix: str = "") -> list[tuple[str, int, int]]:
    """Relative path, bytes and time of each file, sorted within its folder."""
    found = []
    with os.scandir(folder) as entries:
        for entry in sorted(entries, key=lambda entry: entry.name):
            if entry.is_dir(follow_symlinks=False):
                found += files(entry.path, f"{prefix}{entry.name}/")
            else:
                status = entry.stat()
                found.append((prefix + entry.name, status.st_size, status.st_mtime_ns))
    return found


def stamp(folder: Path) -> str:
    """Changes whenever a file of a folder is written; empty if the folder is gone."""
    try:
        return hashlib.sha256(repr(files(folder)).encode()).hexdigest()[:16]
    except FileNotFoundError:
        return ""
