"""How often candidates had failed when a campaign that is to try them again began."""

import os

from nap2.snapshots.store import SnapshotStore


def tries_so_far(store: SnapshotStore, retry_failed: bool) -> dict[str, int] | None:
    """Failed tries by id of all that are to be tried again; None if none is (see `Ledger`).

    A Slurm job that came back from the queue goes on with the campaign it began: what has failed in it stays failed.
    """
    if not retry_failed:
        return None
    came_back = os.environ.get("SLURM_RESTART_COUNT", "0") != "0"
    job = os.environ.get("SLURM_JOB_ID") if came_back else None
    return {id: one.tries for id, one in store.failures().items() if job is None or one.job != job}
