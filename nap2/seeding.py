"""Random numbers as pure functions of what they are for, and the state they must leave alone."""

import hashlib
import os
import random
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch

WORKSPACE = "CUBLAS_WORKSPACE_CONFIG"


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
    with torch.random.fork_rng(devices=_gpus()):
        if seed is not None:
            torch.manual_seed(seed)
        yield


@contextmanager
def forked_python_state(seed: int | None = None) -> Iterator[None]:
    """The same of Python's `random`, and of NumPy's global state where something has loaded NumPy."""
    before = _python_state()
    try:
        if seed is not None:
            random.seed(seed)
            if numpy_random := _numpy_random():
                numpy_random.seed(seed % 2**32)
        yield
    finally:
        _set_python_state(before)


class RandomStream:
    """A random state of its own, of torch on every device, Python and NumPy: a block goes on where the last ended."""

    def __init__(self, seed: int) -> None:
        with forked_random_state(seed), forked_python_state(seed):
            self._keep()

    @contextmanager
    def block(self) -> Iterator[None]:
        """Draw from the stream; afterwards torch's own states are as before."""
        with forked_random_state(), forked_python_state():
            _set_python_state(self._python)
            torch.set_rng_state(self._cpu)
            for gpu, state in self._by_gpu.items():
                torch.cuda.set_rng_state(state, gpu)
            try:
                yield
            finally:
                self._keep()

    def _keep(self) -> None:
        self._cpu, self._python = torch.get_rng_state(), _python_state()
        self._by_gpu = {gpu: torch.cuda.get_rng_state(gpu) for gpu in _gpus()}


def _numpy_random() -> Any:
    return sys.modules.get("numpy.random")


def _python_state() -> tuple[Any, Any]:
    numpy_random = _numpy_random()
    return random.getstate(), numpy_random.get_state() if numpy_random else None


def _set_python_state(state: tuple[Any, Any]) -> None:
    random.setstate(state[0])
    if state[1] is not None:
        _numpy_random().set_state(state[1])


def _gpus() -> Sequence[int]:
    return range(torch.cuda.device_count()) if torch.cuda.is_available() else ()


def make_deterministic() -> None:
    """The determinism flags of the paper (App. E.2.1), but for the workspace's size: cuDNN deterministic, no TF32."""
    os.environ.setdefault(WORKSPACE, ":4096:8")  # the smaller choice, :16:8, makes every process warn
    for setting in _settings():
        setting.write(setting.wanted)


@contextmanager
def deterministic_arithmetic() -> Iterator[None]:
    """`make_deterministic` for a block, in a process that is not ours: its own flags come back afterwards.

    The flags belong to the whole process: where several threads are in such blocks, the last one to leave gives them
    back.
    """
    _flags.enter()
    try:
        yield
    finally:
        _flags.leave()


@dataclass(frozen=True)
class _Setting:
    """A flag of torch: how to read it, how to write it, and what we want."""

    read: Callable[[], Any]
    write: Callable[[Any], None]
    wanted: object

    def value(self) -> object | None:
        """What it is; None where torch cannot tell an old name's value after the new name was used."""
        try:
            return self.read()  # type: ignore[no-any-return]  # whatever torch keeps there
        except RuntimeError:
            return None


class _TheirFlags:
    """The flags of a process as they were before the first of its blocks began."""

    def __init__(self) -> None:
        self.lock, self.num_blocks = threading.Lock(), 0
        self.values: list[tuple[_Setting, object | None]] = []
        self.workspace: str | None = None

    def enter(self) -> None:
        with self.lock:
            if self.num_blocks == 0:
                self.values = [(setting, setting.value()) for setting in _settings()]
                self.workspace = os.environ.get(WORKSPACE)
                make_deterministic()
            self.num_blocks += 1

    def leave(self) -> None:
        with self.lock:
            self.num_blocks -= 1
            if self.num_blocks:
                return
            for setting, value in self.values:
                if value is not None:
                    setting.write(value)
            if self.workspace is None:
                os.environ.pop(WORKSPACE, None)


_flags = _TheirFlags()


def _settings() -> list[_Setting]:
    """Every flag. Torch 2.9 named the precisions anew; an old name writes to several new ones, so it is given first."""
    cudnn: Any = torch.backends.cudnn
    mkldnn: Any = torch.backends.mkldnn
    matmul: Any = torch.backends.cuda.matmul
    settings = [_flag(cudnn, "deterministic", True), _flag(cudnn, "benchmark", False)]
    settings += [_flag(owner, "allow_tf32", False) for owner in (cudnn, matmul)]
    settings.append(_Setting(torch.get_float32_matmul_precision, torch.set_float32_matmul_precision, "highest"))
    if hasattr(matmul, "fp32_precision"):
        owners = (matmul, cudnn.conv, cudnn.rnn, mkldnn.matmul, mkldnn.conv, mkldnn.rnn)
        settings += [_flag(owner, "fp32_precision", "ieee") for owner in owners]
    return settings


def _flag(owner: Any, name: str, wanted: object) -> _Setting:
    return _Setting(partial(getattr, owner, name), partial(setattr, owner, name), wanted)
