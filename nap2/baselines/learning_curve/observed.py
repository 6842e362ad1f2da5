"""What a learning-curve predictor may see of a training run: its first mini-batches and nothing later."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nap2.baselines.undefined import UndefinedScoreError
from nap2.snapshots.curve import Curve

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class ObservedCurve:
    """A training curve up to the query budget.

    Attributes:
        losses: float64 `[S]`, cross-entropy (nats) of each of the `S` = budget mini-batches, finite.
        accuracies: float64 `[T]`, validation accuracy (fraction) of each snapshot within the budget.
        batches_per_epoch: mini-batches of one pass over the training images.
        end: where the whole training ends, in snapshots: the place of its last mini-batch among `accuracies`.
    """

    losses: Floats
    accuracies: Floats
    batches_per_epoch: int
    end: float


def observe(curve: Curve, query_batches: int, every: int, batches_per_epoch: int, epochs: int) -> ObservedCurve:
    """Cut a curve off at the budget.

    Args:
        curve: as stored with the snapshots.
        query_batches: the budget, in mini-batches.
        every: mini-batches between two snapshots.
        batches_per_epoch: mini-batches of one pass over the training images.
        epochs: of the whole training.

    Raises:
        UndefinedScoreError: a curve that ends before the budget, or a loss that is not finite within it.
    """
    if query_batches < 1:
        raise UndefinedScoreError(f"a curve has no score at a budget of {query_batches} mini-batches")
    if len(curve.train_loss) < query_batches:
        raise UndefinedScoreError(f"the curve has {len(curve.train_loss)} of {query_batches} mini-batches")
    losses = np.asarray(curve.train_loss[:query_batches], dtype=np.float64)
    broken = np.flatnonzero(~np.isfinite(losses))
    if broken.size:
        raise UndefinedScoreError(f"the loss is not finite at mini-batch {broken[0] + 1}")
    accuracies = np.asarray(curve.snapshot_accuracy[: query_batches // every], dtype=np.float64)
    return ObservedCurve(losses, accuracies, batches_per_epoch, epochs * batches_per_epoch / every)
