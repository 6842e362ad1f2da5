"""Train copies of some networks on the same mini-batches and order them by what a predictor says of each."""

import copy
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from nap2.errors import NetworkError, UnknownNameError
from nap2.seeding import forked_random_state, seed_from
from nap2.snapshots.recorder import SnapshotRecorder
from nap2.snapshots.trajectory import Trajectory
from nap2.training.recipe import RECIPES, Recipe

Batch = Sequence[Tensor]


@dataclass(frozen=True)
class Ranking:
    """Where one network came out.

    Attributes:
        rank: from 1, the best; failures come last, in the order in which they were given.
        name: of the network.
        predicted_accuracy: fraction; None where it failed.
        failure: why there is no prediction; None where there is one.
        query_batches: mini-batches it was trained for.
        query_time_s: seconds of its training, recording included.
    """

    rank: int
    name: str
    predicted_accuracy: float | None
    failure: str | None
    query_batches: int
    query_time_s: float

    def __str__(self) -> str:
        """One line of a table."""
        accuracy = self.predicted_accuracy
        outcome = f"failed: {self.failure}" if accuracy is None else f"{100 * accuracy:6.2f} %"
        return f"{self.rank:3d}  {outcome}  {self.name}  ({self.query_batches} mini-batches, {self.query_time_s:.1f} s)"


@dataclass(frozen=True)
class Query:
    """What is the same for every network of a ranking."""

    loader: Iterable[Batch]
    query_batches: int
    recipe: Recipe
    every: int
    seed: int


def rank_models(
    predict: Callable[[Trajectory], float],
    models: Mapping[str, nn.Module],
    loader: Iterable[Batch],
    query_batches: int,
    recipe: str,
    every: int,
    seed: int,
) -> list[Ranking]:
    """See `Predictor.rank`."""
    if recipe not in RECIPES:
        raise UnknownNameError("recipe", recipe, RECIPES)
    if isinstance(loader, Iterator):  # it can be read only once
        loader = [batch for batch, _ in zip(loader, range(query_batches), strict=False)]
    query, seen = Query(loader, query_batches, RECIPES[recipe], every, seed), _SameBatches()
    results = [_query(predict, name, model, query, seen) for name, model in models.items()]
    best_first = sorted(results, key=lambda result: -1.0 if result[1] is None else result[1], reverse=True)
    return [
        Ranking(place, name, accuracy, failure, num_steps, seconds)
        for place, (name, accuracy, failure, num_steps, seconds) in enumerate(best_first, 1)
    ]


def _query(
    predict: Callable[[Trajectory], float], name: str, model: nn.Module, query: Query, seen: "_SameBatches"
) -> tuple[str, float | None, str | None, int, float]:
    """(name, predicted accuracy, failure, mini-batches, seconds) of one network."""
    started, num_steps, accuracy, failure = time.perf_counter(), 0, None, None
    batches = _replayed(query)
    try:
        with forked_random_state(query.seed):
            network = copy.deepcopy(model).train()
            recorder = SnapshotRecorder(network, query.every, query.query_batches // query.every)
            for num_steps, loss in enumerate(_train(network, seen.checked(batches), recorder, query), 1):
                if not torch.isfinite(loss):
                    failure = f"diverged: the loss was {float(loss)} at mini-batch {num_steps}"
                    break
        seconds = time.perf_counter() - started
        if failure is None:
            accuracy = predict(recorder.trajectory())
    except _BatchesError as error:
        raise NetworkError(str(error)) from error
    except Exception as error:  # noqa: BLE001  # a foreign network may fail in any way, and keeps its place in the list
        seconds, failure = time.perf_counter() - started, f"{type(error).__name__}: {_one_line(error)}"
    finally:
        batches.close()
    return name, accuracy, failure, num_steps, seconds


def _train(network: nn.Module, batches: Iterator[Batch], recorder: SnapshotRecorder, query: Query) -> Iterator[Tensor]:
    """Train on every batch; yields each loss."""
    optimizer = query.recipe.build_optimizer(network.parameters())
    device = next(network.parameters()).device
    per_epoch = _length(query.loader)
    for step, (inputs, targets) in enumerate(batches):
        for group in optimizer.param_groups:
            group["lr"] = query.recipe.learning_rate(step // per_epoch if per_epoch else 0)
        optimizer.zero_grad(set_to_none=True)
        loss = functional.cross_entropy(network(inputs.to(device)), targets.to(device))
        loss.backward()  # type: ignore[no-untyped-call]  # torch's own
        recorder.step()
        optimizer.step()
        yield loss.detach()


def _replayed(query: Query) -> Generator[Batch, None, None]:
    """The first `query_batches` batches, over as many epochs as that takes, on a random state of their own.

    A loader draws its order from torch's random state or from its own generator while it is read; both start anew here,
    and what the network draws in between changes nothing.
    """
    generators = _generators(query.loader)
    with forked_random_state(seed_from("rank", query.seed)):
        state = torch.get_rng_state()
    kept = {generator: generator.get_state() for generator in generators}
    for generator in generators:
        generator.manual_seed(seed_from("rank", query.seed))
    try:
        given = 0
        batches: Iterator[Batch] = iter(())
        while given < query.query_batches:
            with forked_random_state():
                torch.set_rng_state(state)
                batch = next(batches, None)
                if batch is None:
                    batches = iter(query.loader)
                    batch = next(batches, None)
                state = torch.get_rng_state()
            if batch is None:
                raise _BatchesError("The loader gives no batch; pass one that yields (inputs, targets).")
            given += 1
            yield batch
    finally:
        for generator, before in kept.items():
            generator.set_state(before)


class _SameBatches:
    """Notices when a network is shown other batches than the first one was."""

    def __init__(self) -> None:
        self.marks: list[tuple[str, ...]] = []

    def checked(self, batches: Iterator[Batch]) -> Iterator[Batch]:
        for place, (inputs, targets) in enumerate(batches):
            sums = (inputs.sum(dtype=torch.float64), targets.sum(dtype=torch.float64))
            mark = (str(inputs.shape), *(repr(float(total)) for total in sums))
            if place == len(self.marks):
                self.marks.append(mark)
            if mark != self.marks[place]:
                raise _BatchesError(
                    f"The loader gave another batch {place + 1} the second time, so networks cannot be compared; pass "
                    "a list of batches, or draw its randomness from torch's random state alone."
                )
            yield inputs, targets


class _BatchesError(Exception):
    """The loader, not the network, is at fault."""


def _generators(loader: Iterable[Batch]) -> list[torch.Generator]:
    """The generators that a `DataLoader` and its sampler own."""
    owners = (
        loader,
        getattr(loader, "sampler", None),
        getattr(getattr(loader, "batch_sampler", None), "sampler", None),
    )
    found = [getattr(owner, "generator", None) for owner in owners]
    return list({id(g): g for g in found if isinstance(g, torch.Generator)}.values())


def _length(loader: Iterable[Batch]) -> int:
    try:
        return len(loader)  # type: ignore[arg-type]  # what has no length raises
    except TypeError:
        return 0


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
