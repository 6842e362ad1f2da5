"""Scoring many untrained networks by every proxy: resumable, in any number of processes, one JSON line per network."""

import fcntl
import json
import multiprocessing
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from nap2.baselines.zero_cost import score_network
from nap2.seeding import forked_random_state
from nap2.spaces import SPACES
from nap2.stages.console import track
from nap2.stages.parts import built


@dataclass(frozen=True)
class Task:
    """One network on one mini-batch: `seed` draws weights and whatever the proxies draw, `batch` picks the images."""

    arch_str: str
    seed: int
    batch: int


@dataclass(frozen=True)
class ScoringJob:
    """What every task has in common, as plain containers: a worker process builds the rest."""

    space: str
    skeleton: Mapping[str, int]
    reader: Mapping[str, Any]
    images: Mapping[str, Any]
    batch_size: int
    device: str
    names: tuple[str, ...] | None


def score_all(job: ScoringJob, tasks: Sequence[Task], path: Path, workers: int) -> None:
    """Score what `path` does not hold yet; each finished network is appended at once."""
    known = {task for task, _ in read_scores(path, job.names)}
    missing = [task for task in tasks if task not in known]
    if not missing:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, context, initializer=_start, initargs=(job,)) as pool:
        futures = [pool.submit(_score, task) for task in missing]
        for future in track(as_completed(futures), "networks scored", len(missing)):
            _append(path, future.result())


def read_scores(path: Path, names: Sequence[str] | None) -> Iterator[tuple[Task, dict[str, dict[str, Any]]]]:
    """Tasks with their scores; lines that lack one of `names`, or were left unfinished, are passed over."""
    if not path.is_file():
        return
    with path.open() as file:
        for line in file:
            if not line.endswith("\n"):
                continue
            content = json.loads(line)
            if names is None or set(names) <= content["scores"].keys():
                yield Task(content["arch_str"], content["seed"], content["batch"]), content["scores"]


def _append(path: Path, content: Mapping[str, Any]) -> None:
    with path.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.write(json.dumps(content, allow_nan=False) + "\n")


_worker: dict[str, Any] = {}


def _start(job: ScoringJob) -> None:
    """Once per worker process: one thread, the images, nothing else that lasts."""
    torch.set_num_threads(1)
    _worker["job"] = job
    _worker["images"] = built(job.images, image_set=built(job.reader), batch_size=job.batch_size, seed=0)


def _score(task: Task) -> dict[str, Any]:
    job: ScoringJob = _worker["job"]
    batches = _worker["images"].for_run(0, task.batch, 1, torch.device(job.device)).train_dataloader()
    inputs, targets = next(iter(batches))
    with forked_random_state(task.seed):
        network = SPACES[job.space].build(task.arch_str, **job.skeleton)
    network.to(job.device, memory_format=torch.channels_last)  # type: ignore[call-overload]  # missing from torch's stubs
    scores = score_network(network, inputs, targets, job.names, seed=task.seed)
    table = {
        name: {"value": s.value, "failure": s.failure, "seconds": s.seconds, "forwards": s.forwards}
        for name, s in scores.items()
    }
    return {"arch_str": task.arch_str, "seed": task.seed, "batch": task.batch, "scores": table}
