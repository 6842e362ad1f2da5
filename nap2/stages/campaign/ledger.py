"""What the store says about the candidates of one campaign: complete, failed, at work, missing."""

import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from nap2.snapshots.claims import STALE_AFTER_S, process_exists, read_owner, runs_here
from nap2.snapshots.manifest import Candidate
from nap2.snapshots.setbacks import SETBACKS
from nap2.snapshots.store import SnapshotStore

LOOKING_SHARE = 0.05
"""At most this share of the time goes into listing the store, however slow its file system is."""


@dataclass(frozen=True)
class Counts:
    """How many candidates stand where; `running` ones are neither done nor failed."""

    total: int
    done: int
    failed: int
    running: int

    @property
    def missing(self) -> int:
        """Neither done nor failed."""
        return self.total - self.done - self.failed


class Ledger:
    """A view of the store, refreshed now and then.

    Args:
        store: where the candidates are kept.
        candidates: of the store's setting.
        num_snapshots: a candidate with fewer is not done.
        to_the_end: one without a final accuracy is not done either.
        tries_before: how often each candidate had failed when the campaign began, if failed ones are to be tried
            again; None: a failed candidate is left alone.
    """

    def __init__(
        self,
        store: SnapshotStore,
        candidates: Sequence[Candidate],
        num_snapshots: int,
        to_the_end: bool = False,
        tries_before: Mapping[str, int] | None = None,
    ) -> None:
        self.store, self.candidates = store, candidates
        self.num_snapshots, self.to_the_end, self.tries_before = num_snapshots, to_the_end, tries_before
        self._ids = {candidate.id for candidate in candidates}
        self._done: set[str] = set()
        self._failed: set[str] = set()
        self._next_look = 0.0
        self.refresh()

    def refresh(self) -> None:
        """Look now.

        Raises:
            StoreError: if a candidate is there that cannot be trained as asked, before another one is trained.
        """
        started = time.monotonic()
        self._done = {id for id, length in self.store.complete().items() if self._is_enough(id, length)}
        before = {} if self.tries_before is None else self.tries_before
        failures = self.store.failures()
        self._failed = {id for id in failures.keys() & self._ids if failures[id].tries > before.get(id, 0)}
        self._failed -= self._done
        now = time.monotonic()
        self._next_look = now + (now - started) / LOOKING_SHARE

    def refresh_if_cheap(self) -> None:
        """Look, unless looking has taken too large a share of the time so far."""
        if time.monotonic() >= self._next_look:
            self.refresh()

    def is_done(self, candidate: Candidate) -> bool:
        """Whether it was complete at the last look."""
        return candidate.id in self._done

    def is_settled(self, candidate: Candidate) -> bool:
        """Whether it was complete, or had failed, at the last look."""
        return candidate.id in self._done or candidate.id in self._failed

    def missing(self) -> list[Candidate]:
        """Candidates that were neither complete nor failed at the last look."""
        return [candidate for candidate in self.candidates if not self.is_settled(candidate)]

    def counts(self) -> Counts:
        """As of the last look, except for `running`, which is looked up now."""
        running = sum(1 for id in self.owned() if self._is_alive(id))
        return Counts(len(self.candidates), len(self._done), len(self._failed), running)

    def owned(self) -> set[str]:
        """Unsettled candidates that a process has claimed and not given back; it may be dead."""
        return self._staged_with("owner.json")

    def set_back(self) -> set[str]:
        """Unsettled candidates over which a process died or lost its GPU."""
        return self._staged_with(SETBACKS)

    def _staged_with(self, file: str) -> set[str]:
        try:
            names = os.listdir(self.store.staging)
        except FileNotFoundError:
            return set()
        unsettled = self._ids.intersection(names) - self._done - self._failed
        return {id for id in unsettled if (self.store.staging / id / file).exists()}

    def _is_enough(self, id: str, length: int) -> bool:
        if id not in self._ids or length < self.num_snapshots:
            return False
        if id in self._done or not self.to_the_end:
            return True
        return self.store.has(id, self.num_snapshots, to_the_end=True)

    def _is_alive(self, id: str) -> bool:
        folder = self.store.staging / id
        owner = read_owner(folder)
        if owner is None or (runs_here(owner) and not process_exists(owner.pid)):
            return False
        try:  # the process of that number may be another one by now, which leaves the heart alone
            return time.time() - os.stat(folder / "owner.json").st_mtime < STALE_AFTER_S
        except FileNotFoundError:
            return False
