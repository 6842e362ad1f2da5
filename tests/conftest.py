"""The checkout, with `train.py` and `benchmarks`, is importable from anywhere; one thread, as workers have."""

import sys
from pathlib import Path

import pytest
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
torch.set_num_threads(1)


def pytest_runtest_setup(item):
    """`pytest -m cuda` says what it could not do where there is no GPU."""
    if item.get_closest_marker("cuda") and not torch.cuda.is_available():
        pytest.skip("needs a GPU")
