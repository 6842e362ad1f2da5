"""The checkout, with `train.py` and `benchmarks`, is importable from anywhere; one thread, as workers have.

No test reads or writes a user's own accuracies and predictors, wherever the shell says that they lie.
"""

import os
import sys
from pathlib import Path

import pytest
import torch
from stand_in_gpu import stand_in_gpu

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
torch.set_num_threads(1)
for name in ("NAP2_TRUTH", "NAP2_CHECKPOINTS"):
    os.environ.pop(name, None)


def pytest_runtest_setup(item):
    """`pytest -m cuda` says what it could not do where there is no GPU."""
    if item.get_closest_marker("cuda") and not torch.cuda.is_available():
        pytest.skip("needs a GPU")


@pytest.fixture(params=["stand-in", pytest.param("real", marks=pytest.mark.cuda)])
def gpu(request):
    """In such a test `cuda` is there: by `-m cuda` a GPU, otherwise a stand-in, whose traffic this is."""
    if request.param == "real":
        yield None
    elif torch.cuda.is_available():
        pytest.skip("a GPU is here; pytest -m cuda runs this on it")
    else:
        with stand_in_gpu() as traffic:
            yield traffic
