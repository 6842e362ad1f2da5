"""Ranking by the training curve of the first mini-batches."""

from nap2.baselines.learning_curve.observed import ObservedCurve, observe
from nap2.baselines.learning_curve.scores import LEARNING_CURVES, CurveScore, rank_curves, score_curve

__all__ = ["LEARNING_CURVES", "CurveScore", "ObservedCurve", "observe", "rank_curves", "score_curve"]
