"""A linear fusion fitted by an absolute and a pairwise loss under a strong penalty: for tens of labels, not thousands.

`score = base + s · (bias + x · w)`, where `base` is a prediction that needs no query (0 where there is none), `x` are
standardised features and `s` is the spread of the training accuracies. The penalty pulls `w` to 0, and so the score to
the base: what the features add must be visible in the training labels. Loss, with p = score / s and y = accuracy / s:

    mean |p − y|  +  rank_weight · mean over pairs (y_i > y_j) of log(1 + exp(p_j − p_i))  +  ridge · |w|²

The absolute value is rounded off within `SMOOTH` of 0, so that the whole is smooth and convex: one minimum, no seed.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from nap2.errors import EvaluationError

Floats = NDArray[np.float64]

SMOOTH = 0.05
FEWEST = 3  # candidates that anything is fitted to
MOST_PAIRS = 20_000  # beyond these, a fixed sample of the pairs


@dataclass(frozen=True, eq=False)
class LinearFusion:
    """A fitted fusion.

    Attributes:
        weight: float64 `[F]`, on standardised features.
        bias: of the standardised residual.
        spread: standard deviation of the training accuracies.
    """

    weight: Floats
    bias: float
    spread: float

    @classmethod
    def fit(
        cls, features: Floats, base: Floats, accuracy: Floats, ridge: float, rank_weight: float = 1.0
    ) -> "LinearFusion":
        """Minimise the loss above.

        Args:
            features: `[A, F]`, standardised, finite.
            base: `[A]`, fractions; zeros where there is no base.
            accuracy: `[A]`, fractions.
            ridge: penalty of the squared weights; infinite: the weights are 0.
            rank_weight: of the pairwise loss beside the absolute one.

        Raises:
            EvaluationError: shapes that do not belong together, fewer than 3 candidates, values that are not finite.
        """
        _check(features, base, accuracy)
        spread = max(float(accuracy.std()), 1e-6)
        target, start = accuracy / spread, base / spread
        pairs = _pairs(accuracy)
        free = features if np.isfinite(ridge) else features[:, :0]
        penalty = ridge if np.isfinite(ridge) else 0.0

        def objective(parameters: Floats) -> tuple[float, Floats]:
            return loss_and_gradient(parameters, free, start, target, pairs, penalty, rank_weight)

        begin = np.append(np.zeros(free.shape[1]), np.median(target - start))
        found = minimize(objective, begin, jac=True, method="L-BFGS-B", options={"maxiter": 200}).x
        weight = np.zeros(features.shape[1])
        weight[: free.shape[1]] = found[:-1]
        return cls(weight, float(found[-1]), spread)

    def predict(self, features: Floats, base: Floats) -> Floats:
        """Scores `[A]` in units of accuracy; more is better."""
        score: Floats = base + self.spread * (self.bias + features @ self.weight)
        return score


def loss_and_gradient(
    parameters: Floats,
    features: Floats,
    start: Floats,
    target: Floats,
    pairs: tuple[NDArray[np.int64], NDArray[np.int64]],
    ridge: float,
    rank_weight: float,
) -> tuple[float, Floats]:
    """The loss at `[weights, bias]` and its gradient; `start` and `target` `[A]` in units of the spread."""
    weight, count = parameters[:-1], len(target)
    predicted = start + parameters[-1] + features @ weight
    off = predicted - target
    inside = np.abs(off) < SMOOTH
    distance = np.where(inside, off**2 / (2 * SMOOTH), np.abs(off) - SMOOTH / 2)
    by_prediction = np.where(inside, off / SMOOTH, np.sign(off)) / count
    loss = float(distance.mean()) + ridge * float(weight @ weight)
    better, worse = pairs
    if len(better):
        gap = predicted[better] - predicted[worse]
        loss += rank_weight * float(np.logaddexp(0.0, -gap).mean())
        pull = -rank_weight / len(better) / (1.0 + np.exp(np.clip(gap, -50, 50)))
        by_prediction += np.bincount(better, pull, count) - np.bincount(worse, pull, count)
    return loss, np.append(features.T @ by_prediction + 2 * ridge * weight, by_prediction.sum())


def _pairs(accuracy: Floats) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Indices of the better and the worse candidate of every pair that differs, or of a fixed sample of them."""
    better, worse = np.nonzero(accuracy[:, None] > accuracy)
    if len(better) > MOST_PAIRS:
        chosen = np.random.default_rng(0).choice(len(better), MOST_PAIRS, replace=False)
        better, worse = better[chosen], worse[chosen]
    return better, worse


def _check(features: Floats, base: Floats, accuracy: Floats) -> None:
    count = len(accuracy)
    if features.ndim != 2 or len(features) != count or base.shape != (count,) or accuracy.shape != (count,):
        raise EvaluationError(
            f"Features {features.shape}, base {base.shape} and accuracies {accuracy.shape} are not [A, F], [A] and "
            "[A]; give one row and one number of each for every candidate."
        )
    if count < FEWEST:
        raise EvaluationError(
            f"A fusion needs at least {FEWEST} labelled candidates; there are {count}: ask for a larger train size."
        )
    unfit = [
        name
        for name, values in {"features": features, "base": base, "accuracies": accuracy}.items()
        if not np.isfinite(values).all()
    ]
    if unfit:
        raise EvaluationError(
            f"A fusion cannot learn from {' and '.join(unfit)} that are not finite; leave those candidates out."
        )


@dataclass(frozen=True, eq=False)
class Parts:
    """What is known of some candidates; a part that is not there has no columns.

    Attributes:
        plain: float64 `[A, P]`, size and early curve; NaN where a number is missing.
        embedding: float64 `[A, D]`, of the trajectory.
        base: float64 `[A]`, a prediction that needs no query; None: there is none.
    """

    plain: Floats
    embedding: Floats
    base: Floats | None

    def rows(self, chosen: NDArray[np.int64]) -> "Parts":
        """Some of the candidates."""
        base = None if self.base is None else self.base[chosen]
        return Parts(self.plain[chosen], self.embedding[chosen], base)

    @property
    def base_or_zero(self) -> Floats:
        """`[A]`."""
        return np.zeros(len(self.plain)) if self.base is None else self.base


@dataclass(frozen=True, eq=False)
class Design:
    """From parts to standardised features, fitted on training candidates alone.

    Embeddings become their first principal components in one scale; a number missing from a candidate becomes the
    training mean, that is 0; a column that does not vary, or is missing throughout, becomes 0.
    """

    means: Floats
    scales: Floats
    centre: Floats
    directions: Floats

    @classmethod
    def fit(cls, parts: Parts, components: int) -> "Design":
        """Means, scales and directions of the training candidates."""
        columns = _columns(parts)
        known = np.isfinite(columns)
        counts = np.maximum(known.sum(axis=0), 1)
        means = np.where(known, columns, 0.0).sum(axis=0) / counts
        spread = np.sqrt(np.where(known, (columns - means) ** 2, 0.0).sum(axis=0) / counts)
        scales = np.where(spread > 1e-12 * np.maximum(np.abs(means), 1.0), 1 / np.maximum(spread, 1e-300), 0.0)
        centre = parts.embedding.mean(axis=0)
        _, deviations, directions = np.linalg.svd(parts.embedding - centre, full_matrices=False)
        kept = min(components, int((deviations > 1e-9 * max(float(deviations.max(initial=0.0)), 1e-300)).sum()))
        if kept:
            directions = directions[:kept] / (deviations[0] / np.sqrt(len(parts.embedding)))
        return cls(means, scales, centre, directions[:kept])

    def features(self, parts: Parts) -> Floats:
        """`[A, F]`."""
        columns = _columns(parts)
        standard = np.where(np.isfinite(columns), (columns - self.means) * self.scales, 0.0)
        return np.concatenate([standard, (parts.embedding - self.centre) @ self.directions.T], axis=1)


def _columns(parts: Parts) -> Floats:
    return parts.plain if parts.base is None else np.column_stack([parts.plain, parts.base])


@dataclass(frozen=True)
class FusionOptions:
    """What inner validation chooses from.

    Attributes:
        ridges: penalties; infinite: the base alone.
        components: principal components of the embedding.
        rank_weight: of the pairwise loss; fixed.
    """

    ridges: tuple[float, ...] = (0.03, 0.1, 0.3, 1.0, 3.0, float("inf"))
    components: tuple[int, ...] = (3, 8)
    rank_weight: float = 1.0

    @classmethod
    def from_dict(cls, content: Mapping[str, object]) -> "FusionOptions":
        """From a config node."""
        ridges, components = content["ridges"], content["components"]
        assert isinstance(ridges, list)
        assert isinstance(components, list)
        return cls(tuple(map(float, ridges)), tuple(map(int, components)), float(str(content["rank_weight"])))
