"""Random numbers as pure functions of what they are for, and the state they must leave alone."""

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

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
    for owner, name, value in _settings():
        setattr(owner, name, value)


@contextmanager
def deterministic_arithmetic() -> Iterator[None]:
    """`make_deterministic` for a block, in a process that is not ours: its own flags come back afterwards."""
    before = [(owner, name, _value(owner, name)) for owner, name, _ in _settings()]
    make_deterministic()
    try:
        yield
    finally:
        for owner, name, value in before:
            if value is not None:
                setattr(owner, name, value)


def _settings() -> list[tuple[Any, str, object]]:
    """Owner, name and wanted value of each flag; torch 2.9 named the precisions anew and keeps the old names beside."""
    cudnn: Any = torch.backends.cudnn
    matmul: Any = torch.backends.cuda.matmul
    settings: list[tuple[Any, str, object]] = [(cudnn, "deterministic", True), (cudnn, "benchmark", False)]
    settings += [(owner, "allow_tf32", False) for owner in (cudnn, matmul)]
    if hasattr(matmul, "fp32_precision"):
        settings += [(owner, "fp32_precision", "ieee") for owner in (matmul, cudnn.conv, cudnn.rnn)]
    return settings


def _value(owner: Any, name: str) -> object | None:
    try:
        return getattr(owner, name)  # type: ignore[no-any-return]  # whatever torch keeps there
    except RuntimeError:  # torch cannot tell an old name's value after the new name was used
        return None
