"""NAP2+: the trajectory's embedding fused with the early curve, the size and, where the space has one, the graph.

A stacked design for few labels: the graph regression predicts, and a strongly penalised linear fusion corrects it by
what the first mini-batches showed. How strongly is chosen by cross-validation within the training candidates; the
test candidates are not looked at. Members, which differ in the folds of that cross-validation, are averaged.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import kendalltau

from nap2.models.fusion import Design, Floats, FusionOptions, LinearFusion, Parts

Fold = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Nap2Plus:
    """One member.

    Attributes:
        design: parts → features.
        fusion: features → score.
        ridge: chosen penalty.
        components: chosen number of components.
    """

    design: Design
    fusion: LinearFusion
    ridge: float
    components: int

    @classmethod
    def fit(cls, parts: Parts, accuracy: Floats, folds: Sequence[Fold], options: FusionOptions) -> "Nap2Plus":
        """Choose penalty and components by the τ of out-of-fold predictions, then fit on all training candidates.

        Args:
            parts: of the training candidates; their `base` must be out of fold, or the fusion would trust it blindly.
            accuracy: `[A]`, fractions.
            folds: rows of each inner fold, together all rows.
            options: what is chosen from.
        """
        # Without a base an infinite penalty would leave one number for all.
        ridges = [ridge for ridge in options.ridges if np.isfinite(ridge) or parts.base is not None]
        settings = [(ridge, count) for ridge in sorted(ridges, reverse=True) for count in options.components]
        agreements = [_agreement(parts, accuracy, folds, *setting, options.rank_weight) for setting in settings]
        ridge, count = settings[int(np.argmax(agreements))]  # of equals, the first: the strongest penalty
        design = Design.fit(parts, count)
        fusion = LinearFusion.fit(
            design.features(parts), parts.base_or_zero, accuracy, ridge, rank_weight=options.rank_weight
        )
        return cls(design, fusion, ridge, count)

    def predict(self, parts: Parts) -> Floats:
        """Scores `[A]` in units of accuracy; more is better."""
        return self.fusion.predict(self.design.features(parts), parts.base_or_zero)


def _agreement(
    parts: Parts, accuracy: Floats, folds: Sequence[Fold], ridge: float, components: int, rank_weight: float
) -> float:
    """Kendall's τ-b of out-of-fold predictions; −1 where they are all equal."""
    predicted = np.empty_like(accuracy)
    for fold in folds:
        rest = np.setdiff1d(np.arange(len(accuracy)), fold)
        seen, asked = parts.rows(rest), parts.rows(fold)
        design = Design.fit(seen, components)
        fusion = LinearFusion.fit(design.features(seen), seen.base_or_zero, accuracy[rest], ridge, rank_weight)
        predicted[fold] = fusion.predict(design.features(asked), asked.base_or_zero)
    tau = float(kendalltau(predicted, accuracy, variant="b").statistic)
    return tau if np.isfinite(tau) else -1.0
