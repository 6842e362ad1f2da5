"""Scores of re-initialised networks: Zen-Score, and what AZ-NAS measures between blocks."""

from itertools import pairwise

from nap2.baselines.undefined import UndefinedScoreError
from nap2.baselines.zero_cost.blocks import BlockStatistics
from nap2.baselines.zero_cost.gaussian import ZEN_IMAGES, Response, log_response
from nap2.baselines.zero_cost.pass_names import Pass
from nap2.baselines.zero_cost.passes import Passes
from nap2.baselines.zero_cost.proxy import BatchNorm, Proxy

_AZ_NAS = "Lee and Ham 2024 (AZ-NAS, CVPR)"


def zen(passes: Passes) -> float:
    """Mean over draws of log change of the last map + half the log of every mean running variance."""
    draws: list[Response] = passes[Pass.GAUSSIAN_RESPONSE]
    return sum(log_response(draw) for draw in draws) / len(draws)


def az_expressivity(passes: Passes) -> float:
    """Sum over blocks of the entropy of the spectrum of their features."""
    found: BlockStatistics = passes[Pass.BLOCK_STATISTICS]
    return sum(found.entropies)


def az_progressivity(passes: Passes) -> float:
    """Smallest increase of that entropy from one block to the next."""
    entropies = passes[Pass.BLOCK_STATISTICS].entropies
    if len(entropies) < 2:
        raise UndefinedScoreError("it compares blocks, and the network has only one")
    return float(min(later - earlier for earlier, later in pairwise(entropies)))


def az_trainability(passes: Passes) -> float:
    """Mean over blocks of 2 - s - 1/s, s the gain of gradients through the block."""
    gains = passes[Pass.BLOCK_STATISTICS].gains
    if any(gain is None for gain in gains):
        raise UndefinedScoreError("a block hands gradients on unchanged, for which the score is defined as -inf")
    return float(sum(2.0 - gain - 1.0 / (gain + 1e-6) for gain in gains)) / len(gains)


ZEN = Proxy(
    name="zen",
    definition="log mean |Δ last map|₁ + Σ_BN ½ log mean running variance, N(0, 1) weights and images, 2 draws",
    needs=frozenset({Pass.GAUSSIAN_RESPONSE}),
    score=zen,
    higher_is_better=True,
    batch_norm=BatchNorm.BATCH,
    dtype="network",
    source="Lin et al. 2021 (arXiv:2102.01063)",
    images=ZEN_IMAGES,
)
AZ_EXPRESSIVITY = Proxy(
    name="az_expressivity",
    definition="Σ over blocks of the entropy of the spectrum of their features, Kaiming weights, N(0, 1) images",
    needs=frozenset({Pass.BLOCK_STATISTICS}),
    score=az_expressivity,
    higher_is_better=True,
    batch_norm=BatchNorm.BATCH,
    dtype="network",
    source=_AZ_NAS,
)
AZ_PROGRESSIVITY = Proxy(
    name="az_progressivity",
    definition="smallest increase of that entropy from block to block",
    needs=frozenset({Pass.BLOCK_STATISTICS}),
    score=az_progressivity,
    higher_is_better=True,
    batch_norm=BatchNorm.BATCH,
    dtype="network",
    source=_AZ_NAS,
)
AZ_TRAINABILITY = Proxy(
    name="az_trainability",
    definition="mean over blocks of 2 − s − 1/s, s the gain of random sign gradients through the block",
    needs=frozenset({Pass.BLOCK_STATISTICS}),
    score=az_trainability,
    higher_is_better=True,
    batch_norm=BatchNorm.BATCH,
    dtype="network",
    source=_AZ_NAS,
)
