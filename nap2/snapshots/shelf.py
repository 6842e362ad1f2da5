"""Which candidates are complete: folders `candidates/<id>-T<snapshots>`, whose existence means complete."""

import hashlib
import os
import re
from pathlib import Path

from nap2.schema import MAX_SNAPSHOTS
from nap2.snapshots.disk import move_folder, remove_folder

_FOLDER = re.compile(r"([0-9a-f]{16})-T([1-9]\d*)")


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
    lengths = range(MAX_SNAPSHOTS, 0, -1)
    return next((k for k in lengths if folder_of(shelf, candidate_id, k).is_dir()), 0)


def place(staged: Path, shelf: Path, candidate_id: str, num_snapshots: int, trash: Path, replace: bool) -> None:
    """Rename a finished folder onto the shelf, then take the shorter ones away.

    If one of the same length is there already, it stays (both hold the same run), unless `replace`.
    """
    target = folder_of(shelf, candidate_id, num_snapshots)
    if not move_folder(staged, target):
        if replace:
            remove_folder(target, trash)
            move_folder(staged, target)
        else:
            remove_folder(staged, trash)
    for shorter in range(1, num_snapshots):
        if (folder := folder_of(shelf, candidate_id, shorter)).exists():
            remove_folder(folder, trash)


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
