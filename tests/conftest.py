"""The checkout, with `train.py` and `benchmarks`, is importable from anywhere; one thread, as workers have."""

import sys
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
torch.set_num_threads(1)
