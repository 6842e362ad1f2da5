"""LcSVR: a support vector regression on how validation accuracy begins, fitted to final accuracies (Baker et al. 2017).

As White et al. 2021 set it up (its published code, read and not copied): six numbers of the curve, no parameter count,
everything in per cent and unscaled; hyperparameters drawn at random and chosen by 3-fold cross-validation.
"""

import numpy as np
from numpy.typing import NDArray
from sklearn.svm import NuSVR

Floats = NDArray[np.float64]

NUM_DRAWS = 100
"""Of the hyperparameters; 1,000 in the published code, which is ten times as long."""

MOST_TO_CHOOSE = 200
"""Training candidates that the hyperparameters are chosen on; the regression itself is fitted on all of them."""

NUM_FOLDS = 3


def curve_numbers(accuracies: Floats) -> Floats:
    """Mean and standard deviation of the curve, of its first and of its second differences, in per cent.

    Args:
        accuracies: `[A, T]`, fractions, one validation accuracy a snapshot.

    Returns:
        `[A, 6]`; fewer columns where so few snapshots have no differences: 2 of one, 4 of two.
    """
    parts = [np.diff(100.0 * accuracies, n=order, axis=1) for order in range(min(3, accuracies.shape[1]))]
    return np.stack([number for part in parts for number in (part.mean(1), part.std(1))], 1)


class LcSVR:
    """A ν-SVR with a Gaussian kernel, its C, ν and γ chosen on the training candidates.

    Args:
        seed: of the hyperparameters that are tried.
    """

    def __init__(self, seed: int = 0) -> None:
        self._draws = np.random.default_rng(seed)
        self._svr: NuSVR | None = None

    def fit(self, accuracies: Floats, final: Floats) -> "LcSVR":
        """Fit to curves `[A, T]` and final accuracies `[A]`, fractions, of the candidates without a gap in the curve.

        With fewer than `NUM_FOLDS` of them nothing can be chosen, and every prediction is NaN.
        """
        known = np.isfinite(accuracies).all(1)
        numbers, labels = curve_numbers(accuracies[known]), 100.0 * final[known]
        if len(labels) >= NUM_FOLDS:
            candidates = [self._draw() for _ in range(NUM_DRAWS)]
            some = slice(MOST_TO_CHOOSE)
            best = min(candidates, key=lambda svr: _error_out_of_fold(svr, numbers[some], labels[some]))
            self._svr = best.fit(numbers, labels)
        return self

    def predict(self, accuracies: Floats) -> Floats:
        """Final accuracies `[A]` of curves `[A, T]`; NaN where a curve has a gap."""
        known = np.isfinite(accuracies).all(1)
        predicted = np.full(len(accuracies), np.nan)
        if self._svr is not None and known.any():
            predicted[known] = self._svr.predict(curve_numbers(accuracies[known])) / 100.0
        return predicted

    def _draw(self) -> NuSVR:
        c, gamma = np.exp(self._draws.uniform(np.log(1e-5), np.log(10.0), 2))
        return NuSVR(C=c, nu=1.0 - self._draws.uniform(), gamma=gamma)


def _error_out_of_fold(svr: NuSVR, numbers: Floats, labels: Floats) -> float:
    """Squared error of predictions by fits on the other folds; the published code compares the mean R² of the folds."""
    error = 0.0
    for fold in np.array_split(np.arange(len(labels)), NUM_FOLDS):
        rest = np.setdiff1d(np.arange(len(labels)), fold)
        error += float(np.square(svr.fit(numbers[rest], labels[rest]).predict(numbers[fold]) - labels[fold]).sum())
    return error
