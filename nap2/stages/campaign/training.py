"""How a worker trains one candidate: built from plain containers, so that any process can."""

import os
from collections.abc import Callable
from typing import Any

import torch
from omegaconf import OmegaConf

from nap2.config import Config
from nap2.seeding import make_deterministic
from nap2.snapshots.manifest import Candidate
from nap2.snapshots.writer import CandidateWriter
from nap2.stages.campaign.worker import Train
from nap2.stages.command.console import say
from nap2.stages.command.environment import check_kernels
from nap2.stages.command.parts import built


def trainer_parts(config: Config) -> dict[str, Any]:
    """Everything a worker process needs, as plain containers."""
    return {
        "reader": OmegaConf.to_container(OmegaConf.create(config.dataset.reader), resolve=True),
        "images": dict(config.data["images"]),
        "num_snapshots": config.snapshot.num_snapshots,
        "to_the_end": config.snapshot.to_the_end,
        "prune": config.snapshot.prune,
        "device": config.trainer.device,
        "precision": str(config.recipe.get("precision", "float32")),
        "threads": config.trainer.threads,
    }


def make_train(
    reader: dict[str, Any],
    images: dict[str, Any],
    num_snapshots: int,
    to_the_end: bool,
    prune: bool,
    device: str,
    precision: str,
    threads: int | None,
) -> Train:
    """Read the images once; the function returned trains one candidate on them."""
    from nap2.training.arithmetic import check_arithmetic
    from nap2.training.train_candidate import train_candidate

    if device == "cuda":
        check_kernels()
    if threads:
        torch.set_num_threads(threads)
    elif "OMP_NUM_THREADS" not in os.environ and device == "cpu":
        torch.set_num_threads(1)
    make_deterministic()
    if device == "cuda":
        check_arithmetic(device, precision)
    image_set = built(reader)

    def train(candidate: Candidate, writer: CandidateWriter, stop_requested: Callable[[], bool]) -> None:
        data = built(
            images,
            image_set=image_set,
            batch_size=int(candidate.setting.recipe["batch_size"]),
            seed=candidate.seed,
        )
        train_candidate(
            candidate,
            data,
            writer,
            num_snapshots,
            to_the_end=to_the_end,
            device=device,
            prune=prune,
            stop_requested=stop_requested,
            note=say,
        )

    return train
