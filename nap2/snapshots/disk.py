"""How a file or a folder appears on disk: whole or not at all, and with a clear line when the disk refuses."""

import errno
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from nap2.errors import StoreError

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_LOCKED = {errno.EACCES, errno.EPERM, errno.EROFS}
_NO_LINKS = {errno.EPERM, errno.EMLINK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP}
"""What a file system says that has no hard links: exFAT, and much that is mounted from a cloud or over SSH."""


def token() -> str:
    """A name that no other process will choose."""
    return secrets.token_hex(8)


@contextmanager
def explained(doing: str, where: Path) -> Iterator[None]:
    """Turn what the operating system refuses into one line.

    Raises:
        StoreError: in place of any `OSError` inside the block.
    """
    try:
        yield
    except OSError as error:
        raise StoreError(f"{doing} failed at {where}: {_reason(error)}") from error


def write_atomically(path: Path, content: bytes) -> None:
    """Put a file in place, or replace it, in one step; a reader sees the old bytes or the new ones."""
    temporary = path.with_name(f".{path.name}.{token()}.tmp")
    try:
        _write_durably(temporary, content)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def create_once(path: Path, content: bytes) -> bool:
    """Put a file in place unless it exists; of many processes that try at once, exactly one gets True.

    Where there are no hard links, two that try within the same moment may both get it; the file is whole even so.
    """
    temporary = path.with_name(f".{path.name}.{token()}.tmp")
    try:
        _write_durably(temporary, content)
        os.link(temporary, path)  # unlike a rename, a link never replaces
    except FileExistsError:
        return False
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        if path.exists():
            return False
        os.rename(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    return True


def make_durable(folder: Path) -> None:
    """Flush a tree to the disk, so that after a power cut a rename never shows a folder with empty files."""
    for parent, _, names in os.walk(folder, topdown=False):
        for path in (*(os.path.join(parent, name) for name in names), parent):
            _flush(path)


def move_folder(source: Path, target: Path) -> bool:
    """Rename a folder into place in one step; False if a folder with content is there already."""
    try:
        os.rename(source, target)
    except OSError as error:
        if error.errno in (errno.ENOTEMPTY, errno.EEXIST):
            return False
        raise
    _flush(str(target.parent))
    return True


def set_aside(folder: Path, aside: Path) -> None:
    """Rename a folder in one step; one that came with a container's image cannot be renamed, and is copied instead.

    However it ends, one of the two is whole.
    """
    try:
        os.rename(folder, aside)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        copy = aside.with_name(f"{aside.name}.{token()}.tmp")
        try:
            shutil.copytree(folder, copy)
            os.rename(copy, aside)
        finally:
            shutil.rmtree(copy, ignore_errors=True)
        for description in folder.glob("*.json"):  # first, for without it nobody takes the rest for whole
            description.unlink()
        shutil.rmtree(folder)


def remove_folder(folder: Path, trash: Path) -> None:
    """Take a folder (or file) away in one step, then delete it; missing is fine, for somebody else was faster.

    One that came with a container's image cannot be taken away, and is deleted where it is.
    """
    try:
        os.rename(folder, trash / f"trash-{token()}")
    except FileNotFoundError:
        return
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        shutil.rmtree(folder)
    empty_trash(trash)


def empty_trash(trash: Path) -> None:
    """Delete what was taken away, also by processes that died before they could delete it."""
    for doomed in trash.glob("trash-*"):
        shutil.rmtree(doomed, ignore_errors=True)
        with suppress(OSError):
            doomed.unlink(missing_ok=True)


def _write_durably(path: Path, content: bytes) -> None:
    with open(path, "xb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _flush(path: str) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.EBADF, errno.ENOTSUP):  # some file systems flush no folders
            raise
    finally:
        os.close(descriptor)


def _reason(error: OSError) -> str:
    if error.errno in _FULL:
        return "the disk or quota is full; free some space and run it again (nothing complete was lost)."
    if error.errno in _LOCKED:
        return f"{error.strerror}; make it accessible or choose another folder."
    return f"{error.strerror or error}; check the file system and run it again."
