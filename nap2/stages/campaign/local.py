"""A campaign on this machine: worker processes that are watched, restarted, and told to leave; one overview of all."""

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from nap2.errors import Nap2Error, counted
from nap2.snapshots.manifest import Candidate
from nap2.snapshots.store import SnapshotStore
from nap2.stages.campaign.crew import Crew
from nap2.stages.campaign.ledger import Ledger
from nap2.stages.campaign.overview import UPDATE_EVERY_S, Overview, shown_overview
from nap2.stages.campaign.retries import tries_so_far
from nap2.stages.campaign.stop_flag import StopFlag
from nap2.stages.campaign.summary import CampaignSummary
from nap2.stages.campaign.worker_job import WorkerJob


def run_local_campaign(
    root: Path | str,
    candidates: Sequence[Candidate],
    num_snapshots: int,
    factory: tuple[str, Mapping[str, Any]],
    workers: int,
    log_dir: Path | str,
    *,
    retry_failed: bool = False,
    to_the_end: bool = False,
) -> CampaignSummary:
    """Train what is missing in a store by `workers` processes; callable again and again, also while another one runs.

    A worker that dies is started again, and others take over its candidate; a candidate over which several workers
    died is recorded as failed. If this process dies, its workers save their work and leave.

    Args:
        root: an existing store.
        candidates: of the store's setting.
        num_snapshots: how many are wanted of each.
        factory: `module:function` that makes a `Train` function, and its keyword arguments (picklable); it is called
            once in each worker.
        workers: number of processes, one thread each unless `OMP_NUM_THREADS` says otherwise.
        log_dir: gets `worker-<index>.log`, which later calls append to.
        retry_failed: whether candidates that failed before are tried once more.
        to_the_end: whether a candidate without its final accuracy counts as incomplete.

    Raises:
        CampaignError: if a worker refused its work, or workers keep dying without finishing anything.
        StoreError: if the store cannot be read, or holds what cannot be trained as asked.
    """
    store, started = SnapshotStore.open(root), time.monotonic()
    tries_before = tries_so_far(store, retry_failed)
    ledger = Ledger(store, candidates, num_snapshots, to_the_end, tries_before)
    found, missing = ledger.counts().done, len(ledger.missing())
    reason: str | None = None
    if missing:
        workers = min(workers, missing)
        jobs = [
            WorkerJob(
                store.root,
                candidates,
                num_snapshots,
                to_the_end,
                factory,
                first=index * len(candidates) // workers,
                tries_before=tries_before,
            )
            for index in range(workers)
        ]
        with StopFlag.on_signals() as stop, shown_overview() as overview:
            overview.note(
                f"{counted(missing, 'candidate')} to train, {counted(workers, 'worker')}; "
                f"what each does is in {log_dir}/worker-*.log"
            )
            _run_crew(Crew(jobs, Path(log_dir), store, overview.note), ledger, stop, overview)
        reason = stop.reason
    ledger.refresh()
    counts = ledger.counts()
    return CampaignSummary(counts.total, counts.done, counts.failed, found, time.monotonic() - started, reason)


def _run_crew(crew: Crew, ledger: Ledger, stop: StopFlag, overview: Overview) -> None:
    try:
        crew.start()
        while crew.is_working():
            time.sleep(UPDATE_EVERY_S)
            ledger.refresh_if_cheap()
            counts = ledger.counts()
            if stop() and crew.ask_to_stop():
                overview.note(f"{stop.reason}: workers save their candidates and leave …")
            crew.look_after(settled=counts.done + counts.failed)
            overview.update(counts, None)
    except (Nap2Error, OSError):
        crew.ask_to_stop()
        crew.wait(seconds=30)
        raise
    finally:
        crew.kill()
