"""Candidates that train in milliseconds: numbers drawn from the candidate's id, a resumable state, staged disasters."""

import json
import os
import signal
import time
from pathlib import Path

import torch

from nap2.errors import NetworkError
from nap2.seeding import generator
from nap2.snapshots.curve import Curve
from nap2.snapshots.disk import write_atomically
from nap2.snapshots.layout import num_entries
from nap2.snapshots.manifest import Candidate, Setting
from nap2.snapshots.store import SnapshotStore
from nap2.snapshots.trajectory import Trajectory

SETTING = Setting("nasbench201", {"num_classes": 10}, "fake", {"name": "fake"}, every=1)
UNITS = (4, 3)
STEPS = 3


class LossError(NetworkError):
    def __init__(self, step):
        super().__init__(f"the loss is not finite at step {step}")
        self.step = step


def candidates(count):
    return [Candidate(SETTING, f"arch-{index}", seed=0) for index in range(count)]


def make_store(root):
    return SnapshotStore.create(root, SETTING)


def train_fake(candidate, writer, stop_requested, *, num_snapshots=STEPS, step_s=0.0, journal=None, disaster=None):
    """One step per snapshot; each step's statistics depend on the candidate and the step alone."""
    step = json.loads(writer.state_path.read_bytes())["step"] if writer.state_path.exists() else 0
    if journal:
        with open(journal, "a") as file:
            file.write(f"{candidate.arch_str} {step}\n")
    while step < num_snapshots:
        if stop_requested():
            return
        if disaster and disaster.get(candidate.arch_str):
            happen(disaster[candidate.arch_str], step)
        time.sleep(step_s)
        step += 1
        write_atomically(writer.state_path, json.dumps({"step": step}).encode())
    writer.finish(trajectory(candidate, num_snapshots), curve(candidate, num_snapshots))


def happen(what, step):
    if what == "diverge" and step == 1:
        raise LossError(step)
    if what == "raise":
        raise ZeroDivisionError("division by\nzero")
    if what == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    if what == "lose the GPU" and step == 1:
        raise gpu_error(
            "CUDA error: an illegal memory access was encountered\nCUDA kernel errors might be reported late"
        )
    if what == "full disk":
        raise OSError(28, "No space left on device")


def gpu_error(text):
    """What torch raises when a call on a GPU fails; its older releases have no class of their own for that."""
    return getattr(torch, "AcceleratorError", RuntimeError)(text)


def make_train(**options):
    """The factory that worker processes call."""
    if options.get("journal"):
        Path(options["journal"]).parent.mkdir(exist_ok=True)

    def train(candidate, writer, stop_requested):
        train_fake(candidate, writer, stop_requested, **options)

    return train


def refuse(**options):
    raise NetworkError("no such data here; give another folder.")


def break_down(**options):
    raise SystemExit(7)


FACTORY = "fakes_campaign:make_train"


def trajectory(candidate, length):
    values = torch.randn(length, 2, num_entries(UNITS), generator=generator("fake", candidate.id))
    return Trajectory(values, torch.tensor(UNITS), 1, torch.zeros(length, 2, 5, dtype=torch.int64), ("a", "b"))


def curve(candidate, length):
    return Curve([1.0] * length, [0.5] * length, [2.0 * (k + 1) for k in range(length)], [], 0.5)


def contents(store):
    """Every stored number, by arch string."""
    return {
        stored.candidate.arch_str: stored.trajectory.values.tolist() for stored in map(store.read, store.complete())
    }
