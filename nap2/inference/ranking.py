"""Train copies of some networks on the same mini-batches and order them by what a predictor says of each."""

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import nn

from nap2.errors import NetworkError, described, kind_of
from nap2.inference.batches import Batch, CallerError, SameBatches, num_batches_of, read_once, replayed
from nap2.inference.prediction import Prediction
from nap2.inference.scope import Remark
from nap2.inference.training_loop import left_alone, ready_copy, train
from nap2.inference.training_remarks import Training, dtype_remarks, output_remarks
from nap2.seeding import deterministic_arithmetic, forked_python_state, forked_random_state
from nap2.snapshots.layers import recorded_layers
from nap2.snapshots.recorder import SnapshotRecorder
from nap2.snapshots.trajectory import Trajectory
from nap2.training.recipe import Recipe

OnBatch = Callable[[str, int], None]
"""Called after every mini-batch with the network's name and how many it has seen."""

TURN = threading.RLock()
"""Random states belong to the whole process, so the rankings of several threads wait for each other."""


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


@torch.inference_mode(False)
@torch.enable_grad()
def rank_models(
    predict: Callable[[Trajectory], Prediction],
    models: Mapping[str, nn.Module],
    query: Query,
    doubts: Callable[[Training], Sequence[Remark]] = lambda training: (),
) -> list[Ranking]:
    """See `Predictor.rank`; `doubts` says of the training what every network is to be warned of."""
    if not hasattr(models, "items"):
        raise NetworkError(f"Models are ranked by name: pass a dictionary {{name: model}}, not {kind_of(models)}.")
    query.recipe.build_optimizer([nn.Parameter(torch.zeros(1))])  # torch loads much with the first: no network's time
    seen = SameBatches()
    with TURN:
        if isinstance(query.loader, Iterator):  # it can be read only once
            query = replace(query, loader=read_once(query.loader, query.query_batches, query.seed))
        outcomes = [_query(predict, name, model, query, seen) for name, model in models.items()]
    common_warnings: tuple[str, ...] = ()
    if seen.batch_size is not None:
        training = Training(query.recipe, query.query_batches, seen.batch_size, num_batches_of(query.loader))
        common_warnings = tuple(remark.text for remark in doubts(training))
    return ordered(outcomes, common_warnings)


def ordered(outcomes: Sequence[Outcome], common_warnings: tuple[str, ...] = ()) -> list[Ranking]:
    """Best first; what failed comes last, in the order in which it was given. All carry the common warnings."""
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
        with forked_random_state(query.seed), forked_python_state(query.seed), deterministic_arithmetic():
            shown = seen.checked(batches)
            network, shown = ready_copy(model, shown)
            doubts = dtype_remarks(layer.weight.dtype for layer in recorded_layers(network))
            recorder = SnapshotRecorder(network, query.every, query.query_batches // query.every)
            steps = train(network, shown, recorder, query.recipe, num_batches_of(query.loader))
            with left_alone(model):
                for num_steps, (loss, logits) in enumerate(steps, 1):
                    if num_steps == 1:
                        doubts += output_remarks(logits)
                    _tell(query.on_batch, name, num_steps)
                    if not torch.isfinite(loss):
                        failure = f"diverged: the loss was {float(loss)} at mini-batch {num_steps}"
                        failure += seen.doubts.get(num_steps - 1, "")
                        break
        seconds = time.perf_counter() - started
        if failure is None:
            prediction = predict(recorder.trajectory())
            own_warnings = tuple(remark.text for remark in doubts)
            prediction = replace(prediction, warnings=own_warnings + prediction.warnings)
    except CallerError:
        raise
    except Exception as error:  # noqa: BLE001  # a foreign network may fail in any way, and keeps its place in the list
        seconds, failure = time.perf_counter() - started, described(error) + seen.doubts.get(num_steps, "")
    finally:
        batches.close()
    return Outcome(name, prediction, failure, num_steps, seconds)


def _tell(on_batch: OnBatch | None, name: str, num_steps: int) -> None:
    """Call `on_batch`, if there is one.

    Raises:
        CallerError: if it fails, which is no network's fault.
    """
    if on_batch is None:
        return
    try:
        on_batch(name, num_steps)
    except Exception as error:  # a foreign function may fail in any way
        raise CallerError(f"on_batch failed after mini-batch {num_steps} of {name}: {described(error)}.") from error
