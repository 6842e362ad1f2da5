"""The early training curve as a few numbers, for a predictor that fuses it with other things."""

import numpy as np

from nap2.baselines.learning_curve.observed import Floats
from nap2.baselines.learning_curve.scores import LAST_LOSSES
from nap2.snapshots.curve import Curve

CURVE_NUMBERS = ("mean_loss", "last_loss", "first_loss", "fall", "noise", "accuracy")


def summarise(curve: Curve, query_batches: int, every: int) -> Floats:
    """float64 `[6]`, in the order of `CURVE_NUMBERS`, of the first `query_batches` mini-batches.

    Mean of all losses, of the last ten and of the first ten (nats); how far the loss fell between these two in units of
    the first; standard deviation of the last ten; validation accuracy at the last snapshot within the budget. NaN where
    the curve does not tell: a loss within the window that is not finite, no accuracy measured.
    """
    losses = np.asarray(curve.train_loss[:query_batches], dtype=np.float64)
    accuracies = np.asarray(curve.snapshot_accuracy[: query_batches // every], dtype=np.float64)
    if losses.size < query_batches:
        losses = np.array([np.nan])
    first, last = losses[:LAST_LOSSES], losses[-LAST_LOSSES:]
    accuracy = accuracies[-1] if accuracies.size else np.nan
    begin = first.mean()
    return np.array([losses.mean(), last.mean(), begin, (begin - last.mean()) / begin, last.std(), accuracy])
