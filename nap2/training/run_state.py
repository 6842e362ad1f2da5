"""The resumable state of one training run: one file, replaced as a whole."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from pickle import UnpicklingError
from typing import Any
from zipfile import BadZipFile, ZipFile
from zlib import error as ZlibError

import torch
from torch import Tensor

from nap2.snapshots.curve import Curve
from nap2.snapshots.disk import explained, token

FORMAT = 1
_DAMAGE = (
    *(EOFError, RuntimeError, ValueError, LookupError, TypeError, AttributeError),
    *(UnpicklingError, BadZipFile, ZlibError),
)
"""As what a damaged archive shows."""
_NOT_REFUSED = (None, errno.ENOENT, errno.EINVAL)
"""Errors of the system that say nothing against it: no file, or a damaged one, which points in front of its start."""


@dataclass
class RunState:
    """Where a run stands after `step` optimizer steps; enough to go on as if nothing had happened.

    Attributes:
        candidate_id: whose run it is.
        step: optimizer steps taken.
        network: weights and buffers.
        optimizer: momentum and the like; its learning rate is that of the next step.
        recorder: state of the snapshot recorder.
        curve: the training curve so far.
        seconds: training time so far.
        random: torch's random state, CPU first, then the training GPU's if there is one.
    """

    candidate_id: str
    step: int = 0
    network: dict[str, Any] = field(default_factory=dict)
    optimizer: dict[str, Any] = field(default_factory=dict)
    recorder: dict[str, Any] = field(default_factory=dict)
    curve: Curve = field(default_factory=Curve)
    seconds: float = 0.0
    random: list[Tensor] = field(default_factory=list)

    def save(self, path: Path) -> None:
        """Replace the file at `path`; a reader, now or after a crash, sees the old state or the new one.

        Raises:
            StoreError: if the disk refuses, which is not the candidate's fault.
        """
        temporary = path.with_name(f".{path.name}.{token()}.tmp")  # a claim takes away what a killed process left
        with explained(f"Saving the state of candidate {self.candidate_id}", path):
            path.parent.mkdir(parents=True, exist_ok=True)
            try:
                with _as_the_disk_said(), temporary.open("wb") as file:
                    torch.save({"format": FORMAT, **self._content()}, file)
                    file.flush()
                    os.fsync(file.fileno())
                os.replace(temporary, path)
            finally:
                temporary.unlink(missing_ok=True)

    @classmethod
    def load(cls, path: Path, candidate_id: str) -> "RunState":
        """The state in a file; a fresh one if there is no file, or it is damaged, or of another run.

        Raises:
            StoreError: if the system refuses to read it, which may pass: a fresh run would replace an intact state.
        """
        with explained(f"Reading the state of candidate {candidate_id}", path):
            try:
                with ZipFile(path) as archive:  # whose checksums torch.load leaves unread
                    if archive.testzip() is not None:
                        return cls(candidate_id)
                content = torch.load(path, map_location="cpu", weights_only=True)
                if content.pop("format") != FORMAT or content["candidate_id"] != candidate_id:
                    return cls(candidate_id)
                return cls(**{**content, "curve": Curve(**content["curve"])})
            # A run that begins again is right, only later.
            except _DAMAGE:
                return cls(candidate_id)
            except OSError as error:
                if error.errno not in _NOT_REFUSED:
                    raise
                return cls(candidate_id)

    def _content(self) -> dict[str, Any]:
        # Not asdict(self): it would copy every tensor.
        return {**vars(self), "curve": asdict(self.curve)}


@contextmanager
def _as_the_disk_said() -> Iterator[None]:
    """What the disk refused: torch's writer then finds less than it wrote, and raises that instead."""
    try:
        yield
    except RuntimeError as error:
        if isinstance(error.__context__, OSError):
            raise error.__context__ from None
        raise


def random_state(device: torch.device) -> list[Tensor]:
    """torch's random state on the CPU and, if the device is a GPU, there."""
    return [torch.get_rng_state(), *([torch.cuda.get_rng_state(device)] if device.type == "cuda" else [])]


def set_random_state(states: list[Tensor], device: torch.device) -> None:
    """Go on from `random_state`; a state of a GPU is of use on a GPU only."""
    if states:
        torch.set_rng_state(states[0])
    if len(states) > 1 and device.type == "cuda":
        torch.cuda.set_rng_state(states[1], device)
