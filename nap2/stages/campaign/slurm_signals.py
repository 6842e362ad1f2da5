"""What a process knows of the Slurm job it runs in, and how it puts that job back into the queue."""

import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass

from nap2.stages.command.console import say

MAX_RESTARTS = 500
"""A job that was restarted this often gets nowhere; it is left to a person instead of circling in the queue."""


@dataclass(frozen=True)
class SlurmJob:
    """A batch job, or one task of a job array.

    Attributes:
        name: what `scontrol` calls it: `12` or `12_3`.
        restarts: how often it was requeued.
    """

    name: str
    restarts: int

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None) -> "SlurmJob | None":
        """The job this process belongs to, if any."""
        found = os.environ if environment is None else environment
        if "SLURM_JOB_ID" not in found:
            return None
        name = found["SLURM_JOB_ID"]
        if "SLURM_ARRAY_JOB_ID" in found and "SLURM_ARRAY_TASK_ID" in found:
            name = f"{found['SLURM_ARRAY_JOB_ID']}_{found['SLURM_ARRAY_TASK_ID']}"
        return cls(name, int(found.get("SLURM_RESTART_COUNT", "0")))

    def requeue(self) -> str | None:
        """Ask Slurm to run this job again from its start; returns why it refused, or None."""
        if self.restarts >= MAX_RESTARTS:
            return f"it was restarted {self.restarts} times already"
        try:
            result = subprocess.run(["scontrol", "requeue", self.name], capture_output=True, text=True, timeout=60)
        except (OSError, subprocess.TimeoutExpired) as error:
            return str(error)
        return (result.stderr.strip() or f"scontrol ended with {result.returncode}") if result.returncode else None


def requeue_this_job() -> None:
    """Put the job of this process back into the queue, and say so; outside of Slurm nothing happens."""
    job = SlurmJob.from_environment()
    if job is None:
        return
    refusal = job.requeue()
    if refusal is None:
        say(f"Job {job.name} goes back into the queue (restart {job.restarts + 1}).")
    else:
        say(f"Job {job.name} could not be put back into the queue ({refusal}); submit it again to go on.")
