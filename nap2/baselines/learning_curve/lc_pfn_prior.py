"""Artificial learning curves: the prior that LC-PFN is fitted to (Adriaensen et al. 2023), as published."""

import numpy as np

from nap2.baselines.learning_curve.observed import Floats

NUM_PLACES = 100
"""Of every curve, 1, 2, …; curves of other lengths are read at the same places."""

PROPOSALS = 6
"""Curves drawn for one that is wanted: one in five is kept."""


def draw_curves(count: int, draws: np.random.Generator) -> tuple[Floats, Floats]:
    """Independent curves of the prior.

    Each is the sum of a power law, an inverse logarithm and a Janoschek curve with weights of 0 to 1, kept if it ends
    above its beginning and never leaves [0, 1]. Noise, of one standard deviation a curve, may leave it.

    Returns:
        `[count, 100]` without noise, and the same with it.
    """
    kept: list[Floats] = []
    while sum(map(len, kept)) < count:
        proposed = _propose(PROPOSALS * count, draws)
        inside = (proposed >= 0).all(1) & (proposed <= 1).all(1)
        kept.append(proposed[inside & (proposed[:, -1] > proposed[:, 0])])
    clean = np.concatenate(kept)[:count]
    deviation = draws.lognormal(-4.0, 1.0, (count, 1))  # as their code has it; their paper's text differs
    return clean, clean + deviation * draws.normal(size=clean.shape)


def _propose(count: int, draws: np.random.Generator) -> Floats:
    x = np.arange(1.0, NUM_PLACES + 1)

    def uniform(low: float, high: float) -> Floats:
        return draws.uniform(low, high, (count, 1))

    def lognormal(mean: float, deviation: float) -> Floats:
        return draws.lognormal(mean, deviation, (count, 1))

    power = uniform(0.0, 1.25) - uniform(-0.6, 0.6) * x ** -lognormal(0.0, 2.0)
    inverse_log = uniform(0.0, 1.0) - uniform(-0.5, 0.5) / np.log(x + 1.0)
    top, begin, rate, shape = uniform(0.0, 1.0), uniform(0.0, 2.0), lognormal(-2.0, 1.0), lognormal(0.0, 0.5)
    janoschek = top - (top - begin) * np.exp(-rate * x**shape)
    weighted: Floats = uniform(0.0, 1.0) * power + uniform(0.0, 1.0) * inverse_log + uniform(0.0, 1.0) * janoschek
    return weighted
