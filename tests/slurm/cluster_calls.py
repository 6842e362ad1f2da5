"""What the tests of this folder ask of the cluster."""

import subprocess
import sys
import time
from pathlib import Path


def call(*command, check=True):
    result = subprocess.run([str(part) for part in command], capture_output=True, text=True)
    assert not check or result.returncode == 0, result.stdout + result.stderr
    return result.stdout.strip()


def submit_array(array, count, *values, options=()):
    resources = ("--cpus-per-task=1", "--mem=100M", "--gres=gpu:1", *options)
    return call("sbatch", "--parsable", f"--array={array}", *resources, "slurm/snapshot.sbatch", count, *values)


def queued(job):
    return call("squeue", "-h", "-j", job, "-o", "%i %T", check=False)


def wait_until(what, seconds=600):
    until = time.monotonic() + seconds
    while not (found := what()):
        assert time.monotonic() < until, call("squeue") + logs()
        time.sleep(0.3)
    return found


def wait_for_end(job, meanwhile=lambda: None):
    active = ("PENDING", "RUNNING", "COMPLETING", "CONFIGURING", "REQUEUED", "REQUEUE_HOLD")

    def is_over():
        meanwhile()
        states = queued(job)
        return not any(state in states for state in active)

    wait_until(is_over)


def return_to_service(node, job):
    """What an administrator does when a job came back too early, for which Slurm drains the node and holds the job."""
    if "drain" in call("sinfo", "-h", "-n", node, "-o", "%T"):
        call("scontrol", "update", f"nodename={node}", "state=resume", check=False)
    if "held" in call("squeue", "-h", "-j", job, "-o", "%r", check=False):
        call("scontrol", "release", job, check=False)


def state(job):
    fields = dict(field.split("=", 1) for field in call("scontrol", "show", "job", job, "-o").split() if "=" in field)
    return fields["JobState"], int(fields["Restarts"])


def logs():
    return "\n".join(f"--- {path.name}\n{path.read_text()}" for path in sorted(Path("runs/slurm").iterdir()))


def submit(*arguments):
    return call(sys.executable, "-m", "slurm.submit", *arguments)


def ids(output):
    return {line.split()[1]: line.split()[0] for line in output.splitlines()}
