"""The worker processes of a local campaign: started, watched, restarted when they die, and seen off at the end."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import torch

from nap2.errors import CampaignError
from nap2.snapshots.claims import read_owner, runs_here
from nap2.snapshots.manifest import Candidate
from nap2.snapshots.setbacks import add_setback
from nap2.snapshots.store import SnapshotStore
from nap2.snapshots.writer import discard_state
from nap2.stages.campaign.worker_job import EXIT_DONE, EXIT_LOST_DEVICE, EXIT_REFUSED, REFUSAL, WorkerJob

DEATHS_PER_CANDIDATE = 3
"""A candidate over which so many workers died, in this call or before, is recorded as failed: chance seldom strikes one
candidate so often."""

MIN_IDLE_DEATHS = 6
"""Deaths of workers without any candidate settled in between, after which a campaign gives up (3 a worker if more).

Of one candidate the first alone counts: the others lead to its failure, and the next call remembers them."""


@dataclass
class _Member:
    index: int
    job: WorkerJob
    log: Path
    process: "subprocess.Popen[bytes] | None" = None


class Crew:
    """Processes that each walk over the same candidates.

    Args:
        jobs: one for each worker.
        log_dir: gets `worker-<index>.log`.
        store: where the candidates are kept.
        note: is told of deaths.
    """

    def __init__(
        self, jobs: Sequence[WorkerJob], log_dir: Path, store: SnapshotStore, note: Callable[[str], None]
    ) -> None:
        self.store, self.note = store, note
        self.members = [_Member(index, job, log_dir / f"worker-{index}.log") for index, job in enumerate(jobs)]
        self.stopping = False
        self._candidates = {candidate.id: candidate for job in jobs[:1] for candidate in job.candidates}
        self._idle_deaths, self._settled = 0, -1

    def start(self) -> None:
        """Start every worker."""
        for member in self.members:
            _start(member)

    def is_working(self) -> bool:
        """Whether any worker has not ended its work."""
        return any(member.process is not None for member in self.members)

    def look_after(self, settled: int) -> None:
        """See off workers that have ended, and start again those that died.

        Args:
            settled: candidates complete or failed so far; tells whether anything is getting on.

        Raises:
            CampaignError: if one refused its work, or they die without getting anything done.
        """
        if settled > self._settled:
            self._settled, self._idle_deaths = settled, 0
        for member in self.members:
            code = None if member.process is None else member.process.poll()
            if member.process is None or code is None:
                continue
            dead, member.process = member.process, None
            if code == EXIT_REFUSED:
                raise CampaignError(_last_line(member.log).removeprefix(REFUSAL))
            if code != EXIT_DONE and not self.stopping:
                self._after_death(member, dead.pid, code)

    def ask_to_stop(self) -> bool:
        """Ask every worker to save and leave; False if they were asked before."""
        if self.stopping:
            return False
        self.stopping = True
        for process in self._alive():
            process.terminate()
        return True

    def wait(self, seconds: float) -> None:
        """Wait for all workers to end, but not longer than this."""
        until = time.monotonic() + seconds
        for process in self._alive():
            with suppress(subprocess.TimeoutExpired):
                process.wait(max(0.0, until - time.monotonic()))

    def kill(self) -> None:
        """End whatever is left."""
        for process in self._alive():
            process.kill()
            process.wait()

    def _alive(self) -> list["subprocess.Popen[bytes]"]:
        return [m.process for m in self.members if m.process is not None and m.process.poll() is None]

    def _after_death(self, member: _Member, pid: int, code: int) -> None:
        how = _how(code)
        candidate = self._candidate_of(pid)
        deaths = 0 if candidate is None else self._blame(candidate, how)
        self._idle_deaths += deaths <= 1
        over = "" if candidate is None else f" over candidate {candidate.id}"
        if self._idle_deaths >= max(MIN_IDLE_DEATHS, 3 * len(self.members)):
            raise CampaignError(
                f"Workers died {self._idle_deaths} times without settling a candidate, the last one {how}{over}: "
                f"{_last_line(member.log)!r}; see {member.log}, correct the cause and run it again."
            )
        self.note(f"Worker {member.index} {how}{over}; it is started again.")
        _start(member)

    def _candidate_of(self, pid: int) -> Candidate | None:
        """The candidate that a dead worker of this machine left claimed."""
        with suppress(FileNotFoundError):
            for id in os.listdir(self.store.staging):
                owner = read_owner(self.store.staging / id)
                if id in self._candidates and owner is not None and owner.pid == pid and runs_here(owner):
                    return self._candidates[id]
        return None

    def _blame(self, candidate: Candidate, how: str) -> int:
        """Count a death over a candidate, and record it as failed when there were too many; how many there were."""
        staged = self.store.staging / candidate.id
        deaths = add_setback(staged)
        if deaths >= DEATHS_PER_CANDIDATE:
            reason = f"its worker process died {deaths} times; the last one {how} (out of memory?)"
            self.store.record_failure(candidate, reason)
            discard_state(staged)  # going on from there would end the same way
            self.note(f"{candidate.id} {candidate.arch_str} failed: {reason}")
        return deaths


def _how(code: int) -> str:
    if code == EXIT_LOST_DEVICE:
        return "lost its GPU"
    return f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"


def worker_environment(index: int) -> dict[str, str]:
    """The environment of one worker: one thread, this process's module path, a GPU of its own if there are several."""
    environment = dict(os.environ)
    threads = environment.get("OMP_NUM_THREADS", "1")
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        environment.setdefault(name, threads)
    environment["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if path)
    named = environment.get("CUDA_VISIBLE_DEVICES")
    gpus = [str(i) for i in range(torch.cuda.device_count())] if named is None else [g for g in named.split(",") if g]
    if len(gpus) > 1:
        environment["CUDA_VISIBLE_DEVICES"] = gpus[index % len(gpus)]
    return environment


def _start(member: _Member) -> None:
    member.log.parent.mkdir(parents=True, exist_ok=True)
    with member.log.open("ab") as log:
        member.process = subprocess.Popen(
            [sys.executable, "-u", "-m", "nap2.stages.campaign.worker_process"],
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=subprocess.STDOUT,
            env=worker_environment(member.index),
        )
    # A pipe holds 64 KiB and a worker reads only after its imports: a thread waits, so that all import at once.
    threading.Thread(target=_send, args=(member.job, member.process), daemon=True).start()


def _send(job: WorkerJob, process: "subprocess.Popen[bytes]") -> None:
    with suppress(BrokenPipeError):
        assert process.stdin is not None
        job.send(process.stdin)


def _last_line(log: Path) -> str:
    lines = log.read_text(errors="replace").strip().splitlines()
    return lines[-1] if lines else "(no output)"
