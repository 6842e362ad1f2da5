"""A regression on numbers read off the cell's graph: a reference that needs no query at all."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import GradientBoostingRegressor

from nap2.errors import EvaluationError

Floats = NDArray[np.float64]

SETTINGS: Mapping[str, float] = MappingProxyType(
    {"n_estimators": 300, "max_depth": 4, "learning_rate": 0.05, "subsample": 0.7}
)
"""Fixed before looking at any test candidate, the same for every dataset and train size."""


class GraphRegression:
    """Gradient-boosted trees from graph features to final accuracy.

    Args:
        seed: of the rows that each tree is fitted on; a trial has its own.
    """

    def __init__(self, seed: int = 0) -> None:
        self._trees = GradientBoostingRegressor(**SETTINGS, random_state=seed)

    def fit(self, features: Floats, accuracy: Floats) -> "GraphRegression":
        """Fit to `features` float64 `[A, F]` and `accuracy` float64 `[A]` (fractions); returns itself.

        Raises:
            EvaluationError: shapes that do not belong together, fewer than 2 candidates, values that are not finite.
        """
        if features.ndim != 2 or accuracy.shape != features.shape[:1]:
            raise EvaluationError(
                f"Graph features {features.shape} and accuracies {accuracy.shape} are not [A, F] and [A]; give one row "
                "and one accuracy for every candidate."
            )
        if len(accuracy) < 2:
            raise EvaluationError(
                f"A graph regression needs at least 2 labelled candidates; there are {len(accuracy)}: give more."
            )
        if not (np.isfinite(features).all() and np.isfinite(accuracy).all()):
            raise EvaluationError(
                "A graph regression cannot learn from features or accuracies that are not finite; leave those out."
            )
        self._trees.fit(features, accuracy)
        return self

    def predict(self, features: Floats) -> Floats:
        """Predicted accuracies, float64 `[A]`, for `features` `[A, F]`; trees may leave [0, 1] by a little."""
        predicted: Floats = self._trees.predict(features)
        return predicted


def out_of_fold(features: Floats, accuracy: Floats, folds: Sequence[NDArray[np.int64]], seed: int = 0) -> Floats:
    """Predictions `[A]` of the training candidates, each by a regression fitted on the other folds.

    Args:
        features: `[A, F]`.
        accuracy: `[A]`, fractions.
        folds: rows of each fold, together all rows.
        seed: of the regressions.
    """
    predicted = np.full_like(accuracy, np.nan)
    for fold in folds:
        rest = np.setdiff1d(np.arange(len(accuracy)), fold)
        predicted[fold] = GraphRegression(seed).fit(features[rest], accuracy[rest]).predict(features[fold])
    return predicted
