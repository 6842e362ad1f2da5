"""Memory that a step frees is there for the next one."""

import subprocess
import sys

import pytest

STEPS = """
import resource, sys
import torch
from nap2.stages.command.heap import keep_freed_memory

if sys.argv[1] == "kept" and not keep_freed_memory():
    sys.exit(77)

def step():
    kept_for_backward = [torch.ones(2**20) for _ in range(16)]  # 4 MB each
    return sum(float(one.sum()) for one in kept_for_backward)

def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

found = [step() for _ in range(3)]
before = faults()
found += [step() for _ in range(20)]
assert set(found) == {2.0**24}
print(faults() - before)
"""


def faults(how: str) -> int:
    """Pages that the system had to give out in twenty equal steps."""
    done = subprocess.run([sys.executable, "-c", STEPS, how], stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode == 77:
        pytest.skip("the C library is not glibc")
    assert done.returncode == 0
    return int(done.stdout)


def test_equal_steps_need_no_new_memory() -> None:
    assert faults("kept") < 2_000  # 20 steps × 64 MB anew, in pages of 4 kB, would be 320,000


HOLES = """
import sys
import torch
from nap2.stages.command.heap import keep_freed_memory, return_freed_memory

if not keep_freed_memory():
    sys.exit(77)

def resident_mb():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096 // 2**20

before = resident_mb()
tensors = [torch.ones(2**20) for _ in range(64)]  # 4 MB each
last_stays = tensors[-1]  # so that the holes lie below what is in use
del tensors
kept = resident_mb() - before
assert return_freed_memory()
assert float(last_stays.sum()) == 2.0**20
print(kept, resident_mb() - before)
"""


def test_what_was_kept_for_one_network_is_given_back_before_the_next() -> None:
    done = subprocess.run([sys.executable, "-c", HOLES], stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode == 77:
        pytest.skip("the C library is not glibc")
    assert done.returncode == 0
    kept, left = map(int, done.stdout.split())
    assert kept > 200
    assert left < 50


def test_another_c_library_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    from nap2.stages.command import heap

    monkeypatch.setattr(heap.ctypes, "CDLL", lambda name: object())
    assert heap.keep_freed_memory() is False
    assert heap.return_freed_memory() is False
