"""Random numbers as pure functions of what they are for, and the state they must leave alone."""

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch


def seed_from(*parts: object) -> int:
    """A 63-bit seed that depends on every part (by `repr`) and on nothing else."""
    digest = hashlib.sha256("\x1f".join(repr(part) for part in parts).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def generator(*parts: object) -> torch.Generator:
    """A CPU generator seeded by `seed_from(*parts)`."""
    return torch.Generator().manual_seed(seed_from(*parts))


@contextmanager
def forked_random_state(seed: int | None = None) -> Iterator[None]:
    """Run a block on its own random state (seeded if asked); afterwards torch's CPU and CUDA states are as before."""
    devices = range(torch.cuda.device_count()) if torch.cuda.is_available() else ()
    with torch.random.fork_rng(devices=devices):
        if seed is not None:
            torch.manual_seed(seed)
        yield


def make_deterministic() -> None:
    """The determinism flags of the paper (App. E.2.1): cuDNN deterministic, no TF32, fixed workspace."""
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":16:8")
    torch.backends.cudnn.deterministic = True
    torch.backends.cudnn.benchmark = False
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cuda.matmul.allow_tf32 = False
