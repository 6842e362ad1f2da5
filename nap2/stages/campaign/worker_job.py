"""What a local campaign tells its worker processes (through their stdin), and what their exit codes tell it."""

import os
import pickle
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import IO, Any

from nap2.snapshots.manifest import Candidate
from nap2.stages.campaign.worker import Train

EXIT_DONE, EXIT_REFUSED, EXIT_STOPPED, EXIT_LOST_DEVICE = 0, 2, 3, 4
REFUSAL = "error: "
"""How the last line of a worker's log begins when it refused its work."""


@dataclass(frozen=True)
class WorkerJob:
    """All that a worker process needs to know.

    Attributes:
        root: the store.
        candidates: all candidates of the campaign.
        num_snapshots: how many are wanted of each.
        to_the_end: whether final accuracies are wanted.
        factory: `module:function` that makes the `Train` function, and its keyword arguments (picklable).
        first: index of the candidate to begin with.
        tries_before: see `run_worker`.
    """

    root: Path
    candidates: Sequence[Candidate]
    num_snapshots: int
    to_the_end: bool
    factory: tuple[str, Mapping[str, Any]]
    first: int
    tries_before: Mapping[str, int] | None

    def send(self, pipe: IO[bytes]) -> None:
        """Write it to a worker's stdin: eight bytes of length, then the pickle."""
        content = pickle.dumps(self)
        pipe.write(len(content).to_bytes(8, "big") + content)
        pipe.flush()

    @classmethod
    def receive(cls, descriptor: int) -> "WorkerJob":
        """Read what `send` wrote, and not a byte more."""
        length = int.from_bytes(_read_exactly(descriptor, 8), "big")
        job = pickle.loads(_read_exactly(descriptor, length))
        assert isinstance(job, cls)
        return job

    def make_train(self) -> Train:
        """Call the factory."""
        module, name = self.factory[0].split(":")
        train: Train = getattr(import_module(module), name)(**self.factory[1])
        return train


def _read_exactly(descriptor: int, length: int) -> bytes:
    content = bytearray()
    while len(content) < length:
        part = os.read(descriptor, min(length - len(content), 1 << 20))
        if not part:
            raise EOFError("the process that started this worker was gone before it had said what to do")
        content += part
    return bytes(content)
