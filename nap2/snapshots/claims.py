"""One live worker per candidate, across processes and hosts, with nothing to clean up after a `kill -9`.

Two signs are used because neither suffices. A POSIX record lock on `claim.lock` is dropped by the kernel the moment its
process dies and is not inherited by forked children; but some shared file systems lock within one host only, or not at
all. So the owner also writes `owner.json` (host, pid, token) and touches it every `HEARTBEAT_S`; a foreign owner whose
heartbeat is older than `STALE_AFTER_S`, by the file server's own clock, counts as dead.

    lock refused                            → somebody alive holds it
    lock granted, owner on this machine     → its kernel says that owner is dead: take over at once
    lock granted, owner on another machine  → alive while the heartbeat is fresh
    no locks here                           → heartbeat alone (and the pid, on this machine under this host name)
    lock not ours to open                   → another user's, whose candidate it stays

Claims save work; correctness does not rest on them. Should two workers ever run one candidate (a worker stopped for
minutes and then continued), each writes its own staging folder, both hold the same run, and one rename wins.
"""

import errno
import fcntl
import json
import os
import shutil
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path

from nap2.snapshots.disk import remove_folder, token, write_atomically

HEARTBEAT_S = 20.0
STALE_AFTER_S = 180.0

NO_LOCKS = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL}
"""What a file system says that has no locks: Lustre without `-o flock`, NFS without its lock service."""

_held: set[tuple[int, str]] = set()  # record locks do not exclude threads of one process: (pid, path) does
_held_guard = threading.Lock()


@dataclass(frozen=True)
class Owner:
    """Who holds a claim: a process on a machine, and a token that no other claim has."""

    machine: str
    host: str
    pid: int
    token: str


@dataclass
class Claim:
    """A claim on one staging folder, alive until its `claimed` block ends."""

    folder: Path
    owner: Owner
    keep_folder: bool = True
    _stop: threading.Event = field(default_factory=threading.Event)

    def is_mine(self) -> bool:
        """Whether nobody took the claim over meanwhile."""
        return read_owner(self.folder) == self.owner

    def beat(self) -> None:
        """Touch the owner file until the claim ends or is lost."""
        while not self._stop.wait(HEARTBEAT_S):
            with suppress(OSError):  # a disk that hangs for a moment stops no heart
                if not self.is_mine():
                    return
                os.utime(self.folder / "owner.json")


@contextmanager
def claimed(folder: Path) -> Iterator[Claim | None]:
    """Hold a candidate's staging folder for a block; None if somebody alive holds it.

    The folder is made if need be; `write-*` and temporary files in it, left by owners that died, go. It outlives the
    block (a resumable state may lie in it) unless it is empty or `keep_folder` was set to False.
    """
    key = (os.getpid(), os.path.realpath(folder))
    with _held_guard:
        is_held = key in _held
        _held.add(key)
    if is_held:
        yield None
        return
    try:
        descriptor, locked = _lock(folder)
        try:
            claim = None if descriptor is None else _take(folder, locked)
            if claim is None:
                yield None
            else:
                yield from _hold(claim)
        finally:
            if descriptor is not None:
                os.close(descriptor)  # drops the lock
    finally:
        with _held_guard:
            _held.discard(key)


def read_owner(folder: Path) -> Owner | None:
    """The owner that a staging folder names, or None."""
    try:
        return Owner(**json.loads((folder / "owner.json").read_bytes()))
    except (FileNotFoundError, NotADirectoryError, ValueError, TypeError):
        return None


def runs_here(owner: Owner) -> bool:
    """Whether an owner's pid is one of ours: containers share a kernel, but number their processes each for itself."""
    return (owner.machine, owner.host) == (_machine(), socket.gethostname())


def _hold(claim: Claim) -> Iterator[Claim]:
    heart = threading.Thread(target=claim.beat, name="nap2-claim", daemon=True)
    heart.start()
    try:
        yield claim
    finally:
        claim._stop.set()
        heart.join()
        if claim.is_mine():
            _release(claim)


def _release(claim: Claim) -> None:
    (claim.folder / "owner.json").unlink(missing_ok=True)
    rest = [path for path in claim.folder.iterdir() if path.name != "claim.lock"]
    if claim.keep_folder and rest:
        return
    for path in rest:
        _remove(path)
    with suppress(OSError):  # whoever opened the lock meanwhile will notice that it is gone
        (claim.folder / "claim.lock").unlink(missing_ok=True)
        claim.folder.rmdir()


def _lock(folder: Path) -> tuple[int | None, bool]:
    """An open descriptor (None: held by another process), and whether it is really locked."""
    while True:
        folder.mkdir(parents=True, exist_ok=True)
        try:
            descriptor = os.open(folder / "claim.lock", os.O_RDWR | os.O_CREAT, 0o666)
        except FileNotFoundError:
            continue  # the previous owner removed the folder just now
        except PermissionError:
            if _is_ours(folder):
                raise
            return None, False  # of another user, who alone can tell whether somebody is at work there
        locked = True
        try:
            fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno not in NO_LOCKS:
                os.close(descriptor)
                if error.errno in (errno.EACCES, errno.EAGAIN):
                    return None, False
                raise
            locked = False
        if _is_current(descriptor, folder / "claim.lock"):
            return descriptor, locked
        os.close(descriptor)


def _is_ours(folder: Path) -> bool:
    try:
        return os.stat(folder).st_uid == os.geteuid()
    except FileNotFoundError:
        return False


def _is_current(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), os.stat(path))
    except FileNotFoundError:
        return False


def _take(folder: Path, locked: bool) -> Claim | None:
    before = read_owner(folder)
    if before is not None and _is_alive(folder, before, locked):
        return None
    claim = Claim(folder, Owner(_machine(), socket.gethostname(), os.getpid(), token()))
    try:
        write_atomically(folder / "owner.json", json.dumps(asdict(claim.owner)).encode())
    except FileNotFoundError:
        if locked:
            raise
        return None  # its owner was alive after all, and has taken the folder away
    if not locked:
        time.sleep(0.2)  # the last of several takers wins, and the others see it
        if not claim.is_mine():
            return None
    # Only now: if the former owner lives on, it finds the claim lost before it misses anything, and never half of it.
    for leftover in (*folder.glob("write-*"), *folder.glob("*.tmp"), *folder.glob("trash-*")):
        remove_folder(leftover, folder)
    return claim


def _is_alive(folder: Path, owner: Owner, locked: bool) -> bool:
    if locked and owner.machine == _machine():
        return False
    if runs_here(owner) and not process_exists(owner.pid):
        return False
    try:
        os.utime(folder / "claim.lock")  # the server's clock, not ours
        age_s = os.stat(folder / "claim.lock").st_mtime - os.stat(folder / "owner.json").st_mtime
    except FileNotFoundError:
        return False
    # A heart that beats in the future has stopped too, unless a clock was put back just now.
    return abs(age_s) < STALE_AFTER_S


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def process_exists(pid: int) -> bool:
    """Whether a process of this machine has this number; another one may have it by now."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _machine() -> str:
    """One name per running kernel: containers share it, reboots change it; the host name where Linux is not."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return socket.gethostname()
