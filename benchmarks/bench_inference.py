"""What it costs to start: import nap2, load a released predictor, score one saved trajectory."""

import resource
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median

import torch

from benchmarks.harness import Measurement, paired
from nap2.inference import Predictor
from nap2.models.bigru import BiGRUPredictor
from nap2.models.cae import Encoder
from nap2.schema import COUNTS
from nap2.snapshots.layout import num_entries
from nap2.snapshots.trajectory import Trajectory

UNITS = (16,) * 20 + (32,) * 20 + (64,) * 20
SNAPSHOTS = 23
HEADS = 10
PREDICT = (
    "import sys, nap2; print(nap2.Predictor.from_pretrained(sys.argv[1]).predict(nap2.Trajectory.load(sys.argv[2])))"
)


def measurements(quick: bool) -> list[Measurement]:
    with tempfile.TemporaryDirectory() as folder:
        checkpoint, trajectory = Path(folder) / "checkpoint", Path(folder) / "trajectory.safetensors"
        prepare(checkpoint, trajectory)
        ours, reference = paired(
            lambda: run(PREDICT, checkpoint, trajectory), lambda: run("import torch"), 3 if quick else 7, clock=cpu_s
        )
    times = [mine / theirs for mine, theirs in zip(ours, reference, strict=True)]
    return [
        Measurement(
            "import, load a predictor, score a trajectory",
            ours,
            reference,
            goal=1.5,
            unit="x a process that imports torch",
            note=f"CPU seconds; {HEADS} heads; a trajectory of {SNAPSHOTS} snapshots",
            value=median(times),
            lower_is_better=True,
        )
    ]


def prepare(checkpoint: Path, trajectory: Path) -> None:
    """A predictor of the published size and a trajectory of the usual one."""
    torch.manual_seed(0)
    spec = {"every": 100, "num_snapshots": SNAPSHOTS}
    heads = {"both": [BiGRUPredictor() for _ in range(HEADS)]}
    Predictor((Encoder(), Encoder()), heads, spec).save(checkpoint, "", bits=8)
    values, counts = torch.randn(SNAPSHOTS, 2, num_entries(UNITS)), torch.zeros(SNAPSHOTS, 2, len(COUNTS)).long()
    names = tuple(f"layer{place}" for place in range(len(UNITS)))
    Trajectory(values, torch.tensor(UNITS), 100, counts, names).save(trajectory)


def run(code: str, *arguments: Path) -> None:
    subprocess.run([sys.executable, "-c", code, *map(str, arguments)], check=True, capture_output=True)


def cpu_s() -> float:
    """CPU seconds of the processes that have ended."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime
