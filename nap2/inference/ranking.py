"""Train copies of some networks on the same mini-batches and order them by what a predictor says of each."""

import copy
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.parameter import is_lazy

from nap2.errors import NetworkError, described
from nap2.inference.batches import Batch, BatchesError, SameBatches, num_batches_of, replayed
from nap2.inference.prediction import Prediction
from nap2.seeding import deterministic_arithmetic, forked_random_state
from nap2.snapshots.layers import unwrapped
from nap2.snapshots.recorder import SnapshotRecorder
from nap2.snapshots.trajectory import Trajectory
from nap2.training.recipe import Recipe

OnBatch = Callable[[str, int], None]
"""Called after every mini-batch with the network's name and how many it has seen."""


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
        spread: standard deviation over the predictor's heads, a fraction; None with a single head or a failure.
        warnings: one line each: why the prediction should be trusted less than the predictor's card says.
    """

    rank: int
    name: str
    predicted_accuracy: float | None
    failure: str | None
    query_batches: int
    query_time_s: float
    spread: float | None = None
    warnings: tuple[str, ...] = ()

    def __str__(self) -> str:
        """One line of a table."""
        accuracy = self.predicted_accuracy
        outcome = f"failed: {self.failure}" if accuracy is None else f"{100 * accuracy:6.2f} %"
        if self.spread is not None:
            outcome += f" ± {100 * self.spread:.2f}"
        return f"{self.rank:3d}  {outcome}  {self.name}  ({self.query_batches} mini-batches, {self.query_time_s:.1f} s)"


@dataclass(frozen=True)
class Query:
    """What is the same for every network of a ranking."""

    loader: Iterable[Batch]
    query_batches: int
    recipe: Recipe
    every: int
    seed: int
    on_batch: OnBatch | None = None


@dataclass(frozen=True)
class Outcome:
    """What became of one network."""

    name: str
    prediction: Prediction | None
    failure: str | None
    num_steps: int
    seconds: float


def rank_models(
    predict: Callable[[Trajectory], Prediction],
    models: Mapping[str, nn.Module],
    query: Query,
    doubts: Callable[[int], Sequence[str]] = lambda batch_size: (),
) -> list[Ranking]:
    """See `Predictor.rank`; `doubts` says, from the inputs of a mini-batch, what every network is to be warned of."""
    if not hasattr(models, "items"):
        raise NetworkError(
            f"Models are ranked by name: pass a dictionary {{name: model}}, not a {type(models).__name__}."
        )
    if isinstance(query.loader, Iterator):  # it can be read only once
        batches = [batch for batch, _ in zip(query.loader, range(query.query_batches), strict=False)]
        query = Query(batches, query.query_batches, query.recipe, query.every, query.seed, query.on_batch)
    query.recipe.build_optimizer([nn.Parameter(torch.zeros(1))])  # torch loads much with the first: no network's time
    seen = SameBatches()
    outcomes = [_query(predict, name, model, query, seen) for name, model in models.items()]
    common_warnings = () if seen.batch_size is None else tuple(doubts(seen.batch_size))
    best_first = sorted(outcomes, key=lambda o: -1.0 if o.prediction is None else o.prediction.accuracy, reverse=True)
    return [_placed(place, outcome, common_warnings) for place, outcome in enumerate(best_first, 1)]


def _placed(place: int, outcome: Outcome, common_warnings: tuple[str, ...]) -> Ranking:
    found = outcome.prediction
    return Ranking(
        rank=place,
        name=outcome.name,
        predicted_accuracy=found.accuracy if found else None,
        failure=outcome.failure,
        query_batches=outcome.num_steps,
        query_time_s=outcome.seconds,
        spread=found.spread if found else None,
        warnings=common_warnings + found.warnings if found else (),
    )


def _query(
    predict: Callable[[Trajectory], Prediction], name: str, model: nn.Module, query: Query, seen: SameBatches
) -> Outcome:
    """Train a copy of one network and ask the predictor; whatever the network does wrong is its outcome."""
    started, num_steps, prediction, failure = time.perf_counter(), 0, None, None
    batches = replayed(query.loader, query.query_batches, query.seed)
    try:
        with forked_random_state(query.seed), deterministic_arithmetic():
            shown = seen.checked(batches)
            network, shown = _ready(_copied(_bare(model)), shown)
            recorder = SnapshotRecorder(network, query.every, query.query_batches // query.every)
            for num_steps, loss in enumerate(_train(network, shown, recorder, query), 1):
                if query.on_batch is not None:
                    query.on_batch(name, num_steps)
                if not torch.isfinite(loss):
                    failure = f"diverged: the loss was {float(loss)} at mini-batch {num_steps}"
                    break
        seconds = time.perf_counter() - started
        if failure is None:
            prediction = predict(recorder.trajectory())
    except BatchesError as error:
        raise NetworkError(str(error)) from error
    except Exception as error:  # noqa: BLE001  # a foreign network may fail in any way, and keeps its place in the list
        seconds, failure = time.perf_counter() - started, described(error)
    finally:
        batches.close()
    return Outcome(name, prediction, failure, num_steps, seconds)


def _bare(model: object) -> nn.Module:
    """The network without what it is wrapped in.

    Raises:
        NetworkError: if it is none.
    """
    if not isinstance(model, nn.Module):
        raise NetworkError(f"a {type(model).__name__} is no torch module; call what makes one before ranking.")
    return unwrapped(model)


def _copied(model: nn.Module) -> nn.Module:
    """A deep copy; what a lazy network has not built yet, which torch refuses to copy, is made anew and still empty."""
    empty: dict[int, Any] = {}
    for tensor in filter(is_lazy, (*model.parameters(), *model.buffers())):
        kind: Any = type(tensor)
        empty[id(tensor)] = kind(device=tensor.device, dtype=tensor.dtype)
    return copy.deepcopy(model, empty)


def _ready(
    network: nn.Module, shown: Iterator[tuple[Tensor, Tensor]]
) -> tuple[nn.Module, Iterator[tuple[Tensor, Tensor]]]:
    """The network in training mode, its lazy layers built by a look at the first batch, and all the batches.

    Raises:
        NetworkError: if nothing in it can be trained.
    """
    if any(map(is_lazy, network.parameters())):
        first = next(shown)
        with torch.no_grad():
            network.eval()(first[0])
        shown = chain([first], shown)
    if any(True for _ in network.parameters()) and not any(p.requires_grad for p in network.parameters()):
        raise NetworkError("every parameter is frozen (requires_grad is False), so nothing can be trained.")
    return network.train(), shown


def _train(
    network: nn.Module, batches: Iterator[tuple[Tensor, Tensor]], recorder: SnapshotRecorder, query: Query
) -> Iterator[Tensor]:
    """Train on every batch; yields each loss."""
    optimizer = query.recipe.build_optimizer(network.parameters())
    device = next(network.parameters()).device
    per_epoch = num_batches_of(query.loader)
    for step, (inputs, targets) in enumerate(batches):
        epoch = min(step // per_epoch, query.recipe.epochs - 1) if per_epoch else 0  # a small loader is over many times
        for group in optimizer.param_groups:
            group["lr"] = query.recipe.learning_rate(epoch)
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast(device.type, torch.bfloat16, enabled=query.recipe.precision == "bf16"):
            loss = functional.cross_entropy(_logits(network(inputs.to(device)), targets), targets.to(device))
        loss.backward()  # type: ignore[no-untyped-call]  # torch's own
        recorder.step()
        optimizer.step()
        yield loss.detach()


def _logits(output: object, targets: Tensor) -> Tensor:
    """The network's output, if a cross-entropy can be computed from it.

    Raises:
        NetworkError: if it is no `[B, classes]` tensor, or has too few classes for the targets.
    """
    if not isinstance(output, Tensor):
        raise NetworkError(
            f"forward returned a {type(output).__name__}; wrap the network so that it returns its logits alone, one "
            "tensor [batch, classes]."
        )
    if output.dim() != 2 or len(output) != len(targets):
        raise NetworkError(
            f"forward returned {list(output.shape)} for {len(targets)} inputs; it must return logits [batch, classes]."
        )
    if not targets.is_floating_point() and len(targets) and int(targets.max()) >= output.shape[1]:
        raise NetworkError(
            f"label {int(targets.max())} occurs, but the network has {output.shape[1]} outputs, for labels from 0 to "
            f"{output.shape[1] - 1}."
        )
    return output
