"""Collection on a GPU: candidates per ten minutes, one process and several on it, and what a snapshot costs."""

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch.nn.functional import conv2d, cross_entropy

from benchmarks.bench_extraction import FULL, HEAVIEST, share_of_training, synchronised_clock
from benchmarks.harness import Measurement, paired
from data_modules.images import ImageSet
from nap2.seeding import make_deterministic
from nap2.snapshots.manifest import Candidate, Setting
from nap2.snapshots.store import SnapshotStore
from nap2.spaces import SPACES
from nap2.stages.campaign.local import run_local_campaign
from nap2.training.layout import memory_format
from nap2.training.recipe import RECIPES

SKELETON = {"num_classes": 10, "stem_channels": 16, "cells_per_stage": 5}
TEN_MINUTES_S = 600.0
MPS = "nvidia-cuda-mps-control"
"""NVIDIA's multi-process service: with it processes compute on a GPU side by side, without it they take turns."""

MPS_FOLDERS = ("CUDA_MPS_PIPE_DIRECTORY", "CUDA_MPS_LOG_DIRECTORY")


class Case(NamedTuple):
    """One campaign that is timed."""

    processes: int
    candidates: int
    goal: float | None
    side_by_side: bool = False


CASES = (Case(1, 12, 400.0), Case(8, 48, 700.0), Case(8, 64, None, True), Case(14, 70, None, True))
BATCH, SIDE = 256, 32


def measurements(quick: bool) -> list[Measurement]:
    """Nothing without a GPU: a training step of the full network takes a CPU seconds."""
    if not torch.cuda.is_available():
        return []
    os.environ["CUDA_VISIBLE_DEVICES"] = os.environ.get("CUDA_VISIBLE_DEVICES", "0").split(",")[0]  # one GPU, not all
    return [*_campaigns(CASES[: 2 if quick else None]), *_steps()]


def _campaigns(cases: Sequence[Case]) -> list[Measurement]:
    names = list(SPACES["nasbench201"].arch_strings())
    order = torch.randperm(len(names), generator=torch.Generator().manual_seed(0)).tolist()
    drawn = [names[index] for index in order]
    rows: list[Measurement] = []
    for case in cases:
        if case.side_by_side and shutil.which(MPS) is None:
            continue
        with _side_by_side() if case.side_by_side else nullcontext():
            seconds = campaign_s(drawn[: case.candidates], 1, case.processes, "cuda", SKELETON)
        rate = TEN_MINUTES_S * case.candidates / seconds
        how = f"{case.processes} process(es){' side by side (MPS)' if case.side_by_side else ''}"
        row = f"candidates per 10 minutes, {how}, {torch.cuda.get_device_name()}"
        goal = case.goal or rows[-1].figure  # more at a time must not lose
        size = f"{case.candidates} random architectures, one snapshot after 100 steps, batch {BATCH}, {SIDE}×{SIDE}"
        note = f"{size}; start-up of the processes left out"
        rows.append(Measurement(row, (), (), goal, unit="candidates", value=rate, note=note))
    return rows


@contextmanager
def _side_by_side() -> Iterator[None]:
    """Processes started within compute side by side."""
    with tempfile.TemporaryDirectory() as folder:
        os.environ |= dict.fromkeys(MPS_FOLDERS, folder)
        subprocess.run([MPS, "-d"], check=True)
        try:
            yield
        finally:
            subprocess.run([MPS], input="quit\n", text=True, check=False, timeout=60)
            for name in MPS_FOLDERS:
                os.environ.pop(name)


def _steps() -> list[Measurement]:
    """What one snapshot takes of 100 steps, and whether the layout of `nap2/training/layout.py` is the faster one."""
    name, clock = torch.cuda.get_device_name(), synchronised_clock
    row = f"snapshot in 100 steps, full network ({SIDE}×{SIDE}, batch {BATCH}), {name}"
    share = share_of_training(row, FULL, (BATCH, SIDE), 7, goal=2.0, stretch=0.5, device="cuda")
    rows = [share]
    for precision in ("float32", "bf16"):
        ours = memory_format("cuda", precision)
        other = torch.channels_last if ours is torch.contiguous_format else torch.contiguous_format
        times = paired(_step(ours, precision), _step(other, precision), rounds=5, warmup=3, clock=clock)
        names = " vs ".join(str(layout).removeprefix("torch.") for layout in (ours, other))
        rows.append(
            Measurement(f"training step in {precision}, {names}, {name}", *times, goal=1.0, note="heaviest cell")
        )
    return rows


def _step(layout: torch.memory_format, precision: str) -> Callable[[], None]:
    make_deterministic()
    torch.manual_seed(0)
    network = SPACES["nasbench201"].build(HEAVIEST, **SKELETON).to("cuda")
    network.to(memory_format=layout)  # type: ignore[call-overload]  # missing from torch's stubs
    images = torch.randn(BATCH, 3, SIDE, SIDE, device="cuda").contiguous(memory_format=layout)
    labels = torch.arange(BATCH, device="cuda") % 10
    optimizer = RECIPES["nasbench201"].build_optimizer(network.parameters())

    def step() -> None:
        optimizer.zero_grad()
        with torch.autocast("cuda", torch.bfloat16, enabled=precision == "bf16"):
            loss = cross_entropy(network(images), labels)
        loss.backward()  # type: ignore[no-untyped-call]  # torch's own
        optimizer.step()

    return step


def campaign_s(
    arch_strs: Sequence[str],
    snapshots: int,
    processes: int,
    device: str,
    skeleton: dict[str, int],
    every: int = 100,
    images: dict[str, Any] | None = None,
) -> float:
    """Wall-clock seconds of a campaign, from its first claim to its last candidate."""
    setting = Setting("nasbench201", skeleton, "noise", RECIPES["nasbench201"].as_dict(), every)
    candidates = [Candidate(setting, arch_str, 4) for arch_str in arch_strs]
    with tempfile.TemporaryDirectory() as folder:
        store, logs = SnapshotStore.create(Path(folder) / "store", setting), Path(folder) / "logs"
        logs.mkdir()
        parts = {"num_snapshots": snapshots, "device": device, "images": images or {}, "logs": str(logs)}
        factory = ("benchmarks.bench_collection:make_train", parts)
        summary = run_local_campaign(store.root, candidates, snapshots, factory, processes, logs)
        assert summary.done == len(candidates), summary.sentence()
        begun = min(float(path.read_text()) for path in logs.glob("begun-*"))
        return max((store.folder(c.id) / "zarr.json").stat().st_mtime for c in candidates) - begun


def make_train(num_snapshots: int, device: str, images: dict[str, Any], logs: str) -> Any:
    """What worker processes call; noise in place of a dataset. Notes when each of them begins."""
    from nap2.stages.campaign.training import make_train as snapshot_train

    reader = {"_target_": "benchmarks.bench_collection.noise_images", **images}
    module = {"_target_": "data_modules.images.ImageDataModule"}
    train, begun = snapshot_train(reader, module, num_snapshots, False, True, device, "float32", None), Path(logs)
    # CUDA and cuDNN are loaded by the first operation, which takes seconds and belongs to the start-up.
    conv2d(torch.zeros(1, 3, 8, 8, device=device), torch.zeros(1, 3, 3, 3, device=device)).sum().item()

    def noted(*arguments: Any) -> None:
        if not (path := begun / f"begun-{os.getpid()}").exists():
            path.write_text(str(time.time()))
        train(*arguments)

    return noted


def noise_images(num_train: int = 50_000, num_test: int = 10_000, side: int = 32) -> ImageSet:
    """As many bytes as CIFAR-10 has."""
    random = torch.Generator().manual_seed(0)

    def draw(count: int) -> tuple[torch.Tensor, torch.Tensor]:
        return torch.randint(0, 256, (count, 3, side, side), generator=random).byte(), torch.arange(count) % 10

    train, test, half = draw(num_train), draw(num_test), torch.full((3, 1, 1), 0.5)
    return ImageSet("noise", *train, *test, num_classes=10, mean=half, std=half, crop_padding=4, flip=True)
