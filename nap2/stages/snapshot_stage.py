"""stage=snapshot: train candidates for a while, look at them every so many steps, and store what was seen."""

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from omegaconf import OmegaConf

from nap2.config import Config
from nap2.errors import ConfigError, counted
from nap2.seeding import make_deterministic
from nap2.snapshots.manifest import Candidate
from nap2.snapshots.reader import refuse_set
from nap2.snapshots.store import SnapshotStore
from nap2.snapshots.writer import CandidateWriter
from nap2.stages.campaign import StopFlag, plan_campaign, run_local_campaign, run_worker, without_released
from nap2.stages.candidates import batches_per_epoch, candidates_of, setting_of
from nap2.stages.console import say
from nap2.stages.environment import check_kernels
from nap2.stages.image_fit import check_fit
from nap2.stages.image_note import check_images
from nap2.stages.parts import built

Train = Callable[[Candidate, CandidateWriter, Callable[[], bool]], None]

DEVICES = ("cpu", "cuda")


def run(config: Config) -> int:
    """Train what is missing; a second identical call does nothing and says so. Returns 1 if a candidate failed."""
    candidates = candidates_of(config)
    if not candidates:
        return _nothing_in(config.snapshot.shard)
    device = check_device(config.trainer.device)
    options, root = config.snapshot, Path(config.paths.store)
    refuse_set(root, "snapshot")
    if options.skip_released:
        folder = Path(config.paths.checkpoints) / "snapshots"
        candidates, lines = without_released(folder, candidates, options.num_snapshots, options.to_the_end)
        for line in lines:
            say(line)
        if not candidates:
            say("nothing is left to train.")
            return 0
    if options.plan:
        say(
            plan_campaign(
                root,
                candidates,
                options.num_snapshots,
                config.workers,
                steps_to_the_end=steps_to_the_end(config) if options.to_the_end else None,
                retry_failed=config.retry_failed,
            )
        )
        return 0
    parts = trainer_parts(config)
    images = built(parts["reader"])  # a missing, damaged or unfit dataset is refused before the store is touched
    check_fit(candidates[0], images, options.num_snapshots)
    if config.dataset.num_train not in (None, len(images.train_labels)):
        raise ConfigError(
            f"dataset.num_train={config.dataset.num_train}, but {images.name} has {len(images.train_labels)} training "
            "images: sotl_e and plans count by it; correct it, or set it to null."
        )
    store = SnapshotStore.create(root, setting_of(config))
    check_images(root, images)
    del images
    each = counted(options.num_snapshots, "snapshot")
    say(f"{counted(len(candidates), 'candidate')}, {each} each, into {root} ({device})")
    run_here = partial(run_worker, store, candidates, options.num_snapshots)
    run_crew = partial(run_local_campaign, root, candidates, options.num_snapshots)
    if config.workers == 1:
        with StopFlag.on_signals() as stop:
            train = make_train(**parts)
            summary = run_here(train, stop=stop, retry_failed=config.retry_failed, to_the_end=options.to_the_end)
    else:
        factory, logs = ("nap2.stages.snapshot_stage:make_train", parts), worker_logs(config)
        summary = run_crew(
            factory, config.workers, logs, retry_failed=config.retry_failed, to_the_end=options.to_the_end
        )
    say(summary.sentence())
    return summary.exit_code


def _nothing_in(shard: str) -> int:
    """A list shorter than the number of tasks leaves the last ones without work, which is no mistake.

    Raises:
        ConfigError: if even the first part is empty.
    """
    if shard.startswith("0/"):
        raise ConfigError("The config names no candidate; give a list (snapshot.candidates) that holds one.")
    say(f"Part {shard} of the list holds no candidate; nothing to do.")
    return 0


def steps_to_the_end(config: Config) -> int:
    """Optimizer steps of a whole run; images are read only where the config does not say how many there are."""
    epoch = batches_per_epoch(config)
    if epoch is None:
        parts, batch_size = trainer_parts(config), int(config.recipe["batch_size"])
        data = built(parts["images"], image_set=built(parts["reader"]), batch_size=batch_size, seed=0)
        epoch = int(data.batches_per_epoch)
    return int(config.recipe["epochs"]) * epoch


def worker_logs(config: Config) -> Path:
    """The folder of the workers' logs; tasks of an array get one each, for several nodes cannot append to one file."""
    folder, (index, _, count) = Path(config.paths.runs) / "logs", config.snapshot.shard.partition("/")
    return folder if count == "1" else folder / f"task-{index}"


def check_device(name: str) -> torch.device:
    """The device, if this machine has it.

    Raises:
        ConfigError: if it has not, or if it is neither `cpu` nor `cuda`.
    """
    if name not in DEVICES:
        index = name.removeprefix("cuda:")
        advice = f"; for one GPU of several set CUDA_VISIBLE_DEVICES={index}" if index.isdigit() else ""
        raise ConfigError(f"trainer.device={name} is none of {', '.join(DEVICES)}{advice}.")
    if name == "cuda" and not torch.cuda.is_available():
        raise ConfigError(f"trainer.device={name}, but torch {torch.__version__} sees no GPU here; use trainer=cpu.")
    return torch.device(name)


def trainer_parts(config: Config) -> dict[str, Any]:
    """Everything a worker process needs, as plain containers."""
    return {
        "reader": OmegaConf.to_container(OmegaConf.create(config.dataset.reader), resolve=True),
        "images": dict(config.data["images"]),
        "num_snapshots": config.snapshot.num_snapshots,
        "to_the_end": config.snapshot.to_the_end,
        "prune": config.snapshot.prune,
        "device": config.trainer.device,
        "threads": config.trainer.threads,
    }


def make_train(
    reader: dict[str, Any],
    images: dict[str, Any],
    num_snapshots: int,
    to_the_end: bool,
    prune: bool,
    device: str,
    threads: int | None,
) -> Train:
    """Read the images once; the function returned trains one candidate on them."""
    from nap2.training.train_candidate import train_candidate

    if device == "cuda":
        check_kernels()
    if threads:
        torch.set_num_threads(threads)
    elif "OMP_NUM_THREADS" not in os.environ and device == "cpu":
        torch.set_num_threads(1)
    make_deterministic()
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
