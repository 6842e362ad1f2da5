"""Scores of activation patterns: which ReLUs a network switches for which images."""

import math

import torch
from torch import Tensor

from nap2.baselines.undefined import UndefinedScoreError
from nap2.baselines.zero_cost.gaussian import SWAP_IMAGES
from nap2.baselines.zero_cost.observers import Overlap
from nap2.baselines.zero_cost.pass_names import Pass
from nap2.baselines.zero_cost.passes import Passes
from nap2.baselines.zero_cost.patterns import agreement, count_distinct, count_distinct_images
from nap2.baselines.zero_cost.proxy import BatchNorm, Proxy

SWAP_MEAN, SWAP_SPREAD = 1000.0, 1e6  # thousands of parameters, and their square: see `swap_reg`
_SOURCE = "Peng et al. 2024 (arXiv:2403.04161)"

_TE_NAS = "Chen et al. 2021 (arXiv:2102.11535)"


def naswot(passes: Passes) -> float:
    """log |det K|, where K counts the ReLUs that two images switch alike."""
    overlap: Overlap = passes[Pass.PATTERN_OVERLAP]
    return _log_det(agreement(overlap.joint, overlap.num_neurons))


def naswot_legacy(passes: Passes) -> float:
    """The same with the ReLUs that open a module called after them, such as `ReLUConvBN`, counted twice."""
    overlap: Overlap = passes[Pass.PATTERN_OVERLAP]
    return _log_det(agreement(overlap.joint + overlap.again, overlap.num_neurons + overlap.num_again))


def _log_det(kernel: Tensor) -> float:
    sign, logdet = torch.linalg.slogdet(kernel)
    if sign <= 0 or not bool(logdet.isfinite()):
        raise UndefinedScoreError("the images have linearly dependent activation patterns (log det is -inf)")
    return float(logdet)


def te_nas_regions(passes: Passes) -> float:
    """Number of different activation patterns of the whole network over the batch."""
    overlap: Overlap = passes[Pass.PATTERN_OVERLAP]
    return count_distinct_images(agreement(overlap.joint, overlap.num_neurons), overlap.num_neurons)


def swap(passes: Passes) -> float:
    """Number of different sample-wise activation patterns over the whole batch."""
    return float(count_distinct(torch.cat(passes[Pass.PATTERN_WORDS]), passes.num_images))


def swap_16(passes: Passes) -> float:
    """SWAP over the first 16 images."""
    return float(count_distinct(torch.cat(passes[Pass.PATTERN_WORDS]), min(16, passes.num_images)))


def swap_reg(passes: Passes, mean: float = SWAP_MEAN, spread: float = SWAP_SPREAD) -> float:
    """SWAP over the first 16 images times exp(-(P - mean)^2 / spread), P in thousands of parameters."""
    thousands = sum(p.numel() for p in passes[Pass.WEIGHTS].parameters()) / 1e3
    return swap_16(passes) * math.exp(-((thousands - mean) ** 2) / spread)


def swap_reinit(passes: Passes) -> float:
    """SWAP over the first 16 images, mean over networks with N(0, 1) weights."""
    counts: list[int] = passes[Pass.GAUSSIAN_PATTERNS]
    return sum(counts) / len(counts)


NASWOT = Proxy(
    name="naswot",
    definition="log det K, K_ij the number of nn.ReLU outputs that images i and j switch alike",
    needs=frozenset({Pass.PATTERN_OVERLAP}),
    score=naswot,
    higher_is_better=True,
    batch_norm=BatchNorm.BATCH,
    dtype="network",
    source="Mellor et al. 2021 (arXiv:2006.04647)",
)
NASWOT_LEGACY = Proxy(
    name="naswot_legacy",
    definition="naswot as published code counts: a ReLU that opens a module named after it (ReLUConvBN) counts twice",
    needs=frozenset({Pass.PATTERN_OVERLAP}),
    score=naswot_legacy,
    higher_is_better=True,
    batch_norm=BatchNorm.BATCH,
    dtype="network",
    source="Mellor et al. 2021 (arXiv:2006.04647), its published code",
)
TE_NAS_REGIONS = Proxy(
    name="te_nas_regions",
    definition="number of different activation patterns of the whole network over the batch",
    needs=frozenset({Pass.PATTERN_OVERLAP}),
    score=te_nas_regions,
    higher_is_better=True,
    batch_norm=BatchNorm.BATCH,
    dtype="network",
    source=_TE_NAS,
)
SWAP = Proxy(
    name="swap",
    definition="number of different sample-wise activation patterns over the whole batch",
    needs=frozenset({Pass.PATTERN_WORDS}),
    score=swap,
    higher_is_better=True,
    batch_norm=BatchNorm.BATCH,
    dtype="network",
    source=_SOURCE,
)
SWAP_16 = Proxy(
    name="swap_16",
    definition="swap over the first 16 images",
    needs=frozenset({Pass.PATTERN_WORDS}),
    score=swap_16,
    higher_is_better=True,
    batch_norm=BatchNorm.BATCH,
    dtype="network",
    source=_SOURCE,
    images=16,
)
SWAP_REG = Proxy(
    name="swap_reg",
    definition="swap_16 · exp(−(P − μ)²/σ), P thousands of parameters, μ = 1000, σ = 1e6",
    needs=frozenset({Pass.PATTERN_WORDS, Pass.WEIGHTS}),
    score=swap_reg,
    higher_is_better=True,
    batch_norm=BatchNorm.BATCH,
    dtype="network",
    source=_SOURCE,
    images=16,
)
SWAP_REINIT = Proxy(
    name="swap_reinit",
    definition="swap of the first 16 images, mean of 8 networks with N(0, 1) weights",
    needs=frozenset({Pass.GAUSSIAN_PATTERNS}),
    score=swap_reinit,
    higher_is_better=True,
    batch_norm=BatchNorm.BATCH,
    dtype="network",
    source=_SOURCE,
    images=SWAP_IMAGES,
)
