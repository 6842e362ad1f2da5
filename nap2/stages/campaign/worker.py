"""One worker: walk over the candidates, train what nobody else has or holds, and let none of them stop the rest."""

import errno
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from enum import Enum

from nap2.errors import CampaignError, ConfigError, DataFileError, Nap2Error, StoreError, UnknownNameError
from nap2.snapshots.claims import HEARTBEAT_S, STALE_AFTER_S
from nap2.snapshots.manifest import Candidate
from nap2.snapshots.store import SnapshotStore
from nap2.snapshots.writer import CandidateWriter
from nap2.stages.campaign.ledger import Ledger
from nap2.stages.campaign.lost_device import free_memory, is_device_lost
from nap2.stages.campaign.overview import Overview, shown_overview
from nap2.stages.campaign.stop_flag import StopFlag
from nap2.stages.campaign.summary import CampaignSummary
from nap2.stages.command.console import LINE_EVERY_S
from nap2.stages.command.heap import return_freed_memory

Train = Callable[[Candidate, CandidateWriter, Callable[[], bool]], None]
"""Trains one candidate and calls `writer.finish`; once the last argument says True, it saves its state and returns."""

PATIENCE_S = STALE_AFTER_S + 2 * HEARTBEAT_S
"""How long a worker with nothing else to do waits for candidates of others: until a dead machine's claim is stale."""

MAX_FAILURES_IN_A_ROW = 20
"""Unexpected exceptions of so many candidates in a row are the fault of the machine or the code, not theirs."""

LOSSES_PER_CANDIDATE = 3
"""A candidate over which the GPU was lost so often, each time in a fresh process, is recorded as failed."""

_NOT_ITS_FAULT = (StoreError, ConfigError, UnknownNameError, DataFileError)
_ENVIRONMENT = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.ESTALE, errno.EMFILE, errno.ENFILE}


class Outcome(Enum):
    """What became of one candidate in one worker."""

    SETTLED = "complete or failed"
    HELD = "at work in another process"
    STOPPED = "interrupted, its state kept"


def run_worker(
    store: SnapshotStore,
    candidates: Sequence[Candidate],
    num_snapshots: int,
    train: Train,
    *,
    stop: StopFlag | None = None,
    to_the_end: bool = False,
    first: int = 0,
    tries_before: Mapping[str, int] | None = None,
    patience_s: float = PATIENCE_S,
    overview: Overview | None = None,
) -> CampaignSummary:
    """Train every candidate that is neither complete nor failed, nor held by another worker.

    Args:
        store: where they go.
        candidates: of the store's setting; all workers of a campaign walk over the same ones.
        num_snapshots: how many are wanted of each.
        train: see `Train`.
        stop: asks to save and leave.
        to_the_end: whether a candidate without its final accuracy counts as incomplete.
        first: index of the candidate to begin with, so that workers seldom meet.
        tries_before: `tries_so_far` when the campaign began; None: failed candidates are left alone.
        patience_s: how long to wait at the end for candidates that others hold.
        overview: what is told of the progress; by default one that suits where the output goes.

    Raises:
        StoreError, ConfigError, UnknownNameError, DataFileError: if the store cannot be written, or images and request
            do not fit together: no candidate is to blame, so none is recorded as failed.
        CampaignError: if so many candidates in a row failed unexpectedly that something else must be wrong.
    """
    ledger = Ledger(store, candidates, num_snapshots, to_the_end, tries_before)
    found, started = ledger.counts().done, time.monotonic()
    stop = stop or StopFlag()
    with shown_overview() if overview is None else nullcontext(overview) as shown:
        _Worker(ledger, train, stop, shown).walk(_order(ledger, first), patience_s)
    ledger.refresh()
    counts = ledger.counts()
    stop.may_return = stop.lost_device and counts.done > found  # a GPU on which nothing succeeds is left to a person
    seconds = time.monotonic() - started
    return CampaignSummary(counts.total, counts.done, counts.failed, found, seconds, stop.reason)


def _order(ledger: Ledger, first: int) -> list[Candidate]:
    """From `first` on and around; candidates that have an owner, or were set back, come last.

    Such an owner is either alive, and then nothing is to be done, or it died over this candidate: if that was the
    candidate's fault (out of memory, a crash of the interpreter), it must not keep the others from their turn. Nor must
    a candidate over which the GPU was lost.
    """
    last = ledger.owned() | ledger.set_back()
    start = first % max(1, len(ledger.candidates))
    around = [*ledger.candidates[start:], *ledger.candidates[:start]]
    return sorted((c for c in around if not ledger.is_settled(c)), key=lambda candidate: candidate.id in last)


@dataclass
class _Worker:
    ledger: Ledger
    train: Train
    stop: StopFlag
    overview: Overview
    failures_in_a_row: int = 0
    looked: float = field(default_factory=time.monotonic)

    def walk(self, pending: Sequence[Candidate], patience_s: float) -> None:
        """Go over the pending candidates, then wait for those that others hold, for one of them may die."""
        patient_until = time.monotonic() + patience_s
        while pending and not self.stop():
            held = [candidate for candidate in pending if self.settle(candidate) is Outcome.HELD]
            if len(held) < len(pending):
                patient_until = time.monotonic() + patience_s
            elif time.monotonic() >= patient_until:
                return
            pending = held
            if pending and not self.stop_requested():
                time.sleep(min(1.0, max(0.0, patient_until - time.monotonic())))

    def settle(self, candidate: Candidate) -> Outcome:
        """Train one candidate, unless it is settled, held, or the worker is to stop."""
        if self.stop():
            return Outcome.STOPPED
        self.ledger.refresh_if_cheap()
        if self.ledger.is_settled(candidate):
            return Outcome.SETTLED
        with self.ledger.store.claim(candidate, self.ledger.num_snapshots, self.ledger.to_the_end) as writer:
            if writer is None:
                return Outcome.HELD  # or complete since the last look, as the next one will show
            self.overview.update(self.ledger.counts(), candidate)
            outcome: Outcome | None = None
            try:
                self.train(candidate, writer, self.stop_requested)
            except Exception as error:  # noqa: BLE001 - one candidate must not stop the rest
                outcome = self._after_exception(candidate, writer, error)
        if outcome is None:
            outcome = self._after_return(candidate)
        elif not self.stop.lost_device:
            free_memory()
        return_freed_memory()
        return outcome

    def stop_requested(self) -> bool:
        """What training asks after every step, and waiting every second: a log must not look dead meanwhile."""
        if time.monotonic() - self.looked >= LINE_EVERY_S:
            self.overview.update(self.ledger.counts(), None)
            self.looked = time.monotonic()
        return self.stop()

    def _after_return(self, candidate: Candidate) -> Outcome:
        self.ledger.refresh()
        self.overview.update(self.ledger.counts(), None)
        if self.ledger.is_done(candidate):
            self.failures_in_a_row = 0
            return Outcome.SETTLED
        if not self.stop():
            self.ledger.store.record_failure(candidate, "its training ended without a result")
        return Outcome.STOPPED

    def _after_exception(self, candidate: Candidate, writer: CandidateWriter, error: Exception) -> Outcome:
        if isinstance(error, StoreError | OSError) and writer.was_taken_over():
            return Outcome.HELD
        if isinstance(error, _NOT_ITS_FAULT):
            raise error
        if isinstance(error, OSError) and error.errno in _ENVIRONMENT:
            raise StoreError(
                f"Training stopped, for the machine refused: {error}; correct that and run it again."
            ) from error
        if not isinstance(error, Nap2Error):
            self.overview.note("".join(traceback.format_exception(error)).rstrip())
        if is_device_lost(error):
            return self._after_loss_of_device(candidate, writer, error)
        if not isinstance(error, Nap2Error):
            self.failures_in_a_row += 1
        reason = f"{type(error).__name__}: {error}"
        failure = self.ledger.store.record_failure(candidate, reason, getattr(error, "step", None))
        if isinstance(error, Nap2Error) or failure.tries > 1:
            writer.discard_state()  # going on from there would fail the same way
        self.overview.note(f"{candidate.id} {candidate.arch_str} failed: {failure.reason}")
        if self.failures_in_a_row >= MAX_FAILURES_IN_A_ROW:
            raise CampaignError(
                f"{self.failures_in_a_row} candidates in a row failed, the last with {failure.reason!r}; "
                f"correct that, then call with retry_failed=true."
            ) from error
        return Outcome.SETTLED

    def _after_loss_of_device(self, candidate: Candidate, writer: CandidateWriter, error: Exception) -> Outcome:
        """Leave the candidate to a fresh process, a few times at most: in this one all others would fail like it."""
        reason = f"{type(error).__name__}: {(str(error).splitlines() or [''])[0]}"
        losses = writer.add_setback()
        if losses >= LOSSES_PER_CANDIDATE:
            writer.discard_state()
            failure = self.ledger.store.record_failure(candidate, f"the GPU was lost over it {losses} times; {reason}")
            self.overview.note(f"{candidate.id} {candidate.arch_str} failed: {failure.reason}")
        self.stop.lost_device = True
        self.stop.set(f"the GPU fails every call of this process since {reason}")
        return Outcome.STOPPED
