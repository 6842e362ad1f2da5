"""`python -m nap2.stages.campaign.worker_process`: one worker of a local campaign, told what to do through its stdin.

The pipe stays open for as long as the campaign's own process lives; when it closes, the worker saves and leaves.
"""

import sys

from nap2.errors import Nap2Error
from nap2.snapshots.store import SnapshotStore
from nap2.stages.campaign.overview import LogOverview
from nap2.stages.campaign.stop_flag import StopFlag
from nap2.stages.campaign.worker import run_worker
from nap2.stages.campaign.worker_job import EXIT_DONE, EXIT_LOST_DEVICE, EXIT_REFUSED, EXIT_STOPPED, REFUSAL, WorkerJob
from nap2.stages.command.console import say
from nap2.stages.command.heap import keep_freed_memory
from nap2.terminal import on_any_terminal


def main() -> int:
    """Work until nothing is left to do; returns the exit code."""
    keep_freed_memory()
    descriptor = sys.stdin.fileno()
    job = WorkerJob.receive(descriptor)
    with StopFlag.on_signals(requeue=False) as stop:
        stop.watch_pipe(descriptor)
        try:
            run_worker(
                SnapshotStore.open(job.root),
                job.candidates,
                job.num_snapshots,
                job.make_train(),
                stop=stop,
                to_the_end=job.to_the_end,
                first=job.first,
                tries_before=job.tries_before,
                overview=LogOverview(),
            )
        except Nap2Error as error:
            say(f"{REFUSAL}{error}")
            return EXIT_REFUSED
        if stop.lost_device:
            say(f"This process ends, for {stop.reason}; another one goes on in its place.")
            return EXIT_LOST_DEVICE
        return EXIT_STOPPED if stop() else EXIT_DONE


if __name__ == "__main__":
    sys.exit(on_any_terminal(main))
