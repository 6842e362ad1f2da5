"""Scoring many untrained networks by many proxies: resumable, in any number of processes, one JSON line per network."""

import multiprocessing
import os
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import torch

from nap2.baselines.zero_cost import score_network
from nap2.errors import EvaluationError, counted, described
from nap2.evaluation.records.rows import append_lines
from nap2.seeding import forked_random_state
from nap2.spaces import SPACES
from nap2.stages.campaign.lost_device import DID_NOT_FIT, is_device_lost
from nap2.stages.command.console import track
from nap2.stages.command.heap import keep_freed_memory, return_freed_memory
from nap2.stages.command.parts import built
from nap2.stages.scores.score_file import Task

IN_FLIGHT = 4  # networks handed out per worker: more would hold the whole list in memory

Work = tuple[Task, tuple[str, ...]]
"""One network and batch, and the proxies that it has no score of yet."""


@dataclass(frozen=True)
class ScoringJob:
    """What every task has in common, as plain containers: a worker process builds the rest."""

    space: str
    skeleton: Mapping[str, int]
    reader: Mapping[str, Any]
    images: Mapping[str, Any]
    batch_size: int
    device: str


def score_all(job: ScoringJob, work: Sequence[Work], path: Path, workers: int) -> None:
    """Score everything in `work`; each finished network is appended to `path` at once.

    A network that did not fit into a GPU's memory beside those of other workers is left out, so that it is tried again.

    Raises:
        EvaluationError: a worker was killed, a GPU was lost, or networks were left out; what is finished is kept.
    """
    if not work:
        return
    context = multiprocessing.get_context("spawn")
    try:
        executor = ProcessPoolExecutor(min(workers, len(work)), context, initializer=_start, initargs=(job,))
    except (OSError, ImportError) as error:  # as in containers without /dev/shm
        raise EvaluationError(
            f"No process that scores networks can be started: this system gives no semaphores ({described(error)}): "
            "a container needs a /dev/shm that can be written to."
        ) from error
    with executor as pool:
        done = crowded = 0
        try:
            for content in track(_results(pool, work, IN_FLIGHT * workers), "networks scored", len(work)):
                if workers > 1 and _did_not_fit(content):
                    crowded += 1
                    continue
                append_lines(path, [content])
                done += 1
        except BrokenProcessPool as error:
            raise EvaluationError(
                f"A worker was killed after {done} of {counted(len(work), 'network')} (out of memory?). What is scored "
                f"is kept in {path}; run the same command again, with fewer workers if memory is short."
            ) from error
        except RuntimeError as error:
            if not is_device_lost(error):
                raise
            raise EvaluationError(
                f"The GPU was lost after {done} of {counted(len(work), 'network')} ({described(error)}). What is "
                f"scored is kept in {path}; run the same command again."
            ) from error
    if crowded:
        raise EvaluationError(
            f"{counted(crowded, 'network')} did not fit into the GPU's memory beside those of the other workers. What "
            f"is scored is kept in {path}; run the same command again with fewer workers."
        )


def _results(pool: ProcessPoolExecutor, work: Iterable[Work], limit: int) -> Iterator[dict[str, Any]]:
    """Results as they come, with at most `limit` pieces of work handed out and unfinished."""
    rest = iter(work)
    pending: set[Future[dict[str, Any]]] = {pool.submit(_score, *piece) for piece in islice(rest, limit)}
    while pending:
        finished, pending = wait(pending, return_when=FIRST_COMPLETED)
        for future in finished:
            yield future.result()
        pending |= {pool.submit(_score, *piece) for piece in islice(rest, len(finished))}


def _did_not_fit(content: Mapping[str, Any]) -> bool:
    """Whether a proxy found no room on a GPU; with a single worker that is the network's own failure."""
    return any(words in (score["failure"] or "") for score in content["scores"].values() for words in DID_NOT_FIT)


_worker: dict[str, Any] = {}


def _start(job: ScoringJob) -> None:
    """Once per worker process: one thread, the images, nothing else that lasts."""
    keep_freed_memory()
    torch.set_num_threads(1)
    threading.Thread(target=_end_with_the_parent, daemon=True).start()
    _worker["job"] = job
    _worker["images"] = built(job.images, image_set=built(job.reader), batch_size=job.batch_size, seed=0)


def _end_with_the_parent() -> None:
    """A worker whose parent was killed would wait for work forever."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _score(task: Task, names: tuple[str, ...]) -> dict[str, Any]:
    job: ScoringJob = _worker["job"]
    return_freed_memory()  # of the network before
    batches = _worker["images"].for_run(0, task.batch, 1, torch.device(job.device)).train_dataloader()
    inputs, targets = next(iter(batches))
    with forked_random_state(task.seed):
        network = SPACES[job.space].build(task.arch_str, **job.skeleton)
    network.to(job.device)
    scores = score_network(network, inputs, targets, names, seed=task.seed)
    table = {
        name: {"value": s.value, "failure": s.failure, "seconds": s.seconds, "forwards": s.forwards}
        for name, s in scores.items()
    }
    return {"arch_str": task.arch_str, "seed": task.seed, "batch": task.batch, "scores": table}
