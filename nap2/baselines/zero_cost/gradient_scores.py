"""Scores from the gradient of the loss: saliencies of weights, their curvature, their spread over images."""

import math

import torch
from torch import Tensor

from nap2.baselines.undefined import UndefinedScoreError
from nap2.baselines.zero_cost.batch_run import WeightGradients
from nap2.baselines.zero_cost.gradients import SINGLE_IMAGES, SampleSigns
from nap2.baselines.zero_cost.observers import LayerSaliency
from nap2.baselines.zero_cost.pass_names import Pass
from nap2.baselines.zero_cost.passes import Passes
from nap2.baselines.zero_cost.patterns import count_distinct
from nap2.baselines.zero_cost.proxy import BatchNorm, Proxy

L_SWAG_IMAGES = 16  # images whose patterns L-SWAG counts
_SOURCE = "Abdelfattah et al. 2021 (arXiv:2101.08134)"


def grad_norm(passes: Passes) -> float:
    """Sum over layers of the L2 norm of the gradient."""
    return sum(float(g.double().norm()) for _, g in passes[Pass.LOSS_GRADIENT].pairs())


def snip(passes: Passes) -> float:
    """Sum over weights of |w g|."""
    return sum(float((w * g).abs().double().sum()) for w, g in passes[Pass.LOSS_GRADIENT].pairs())


def plain(passes: Passes) -> float:
    """Sum over weights of w g, signed."""
    return sum(float((w * g).double().sum()) for w, g in passes[Pass.LOSS_GRADIENT].pairs())


def grasp(passes: Passes) -> float:
    """Minus the sum over weights of w (H g)."""
    return -sum(float((w * hg).double().sum()) for w, hg in passes[Pass.CURVATURE].pairs())


def fisher(passes: Passes) -> float:
    """Sum over channels of half the mean square of activation times gradient, weighted by the fan-in."""
    layers: list[LayerSaliency] = passes[Pass.OUTPUT_SALIENCY]
    return sum(0.5 * float(layer.per_image.double().square().mean(0).sum()) * layer.fan_in for layer in layers)


def gradsign(passes: Passes) -> float:
    """Mean over weights of |sum over images of the sign of the gradient|."""
    found: SampleSigns = passes[Pass.SAMPLE_SIGNS]
    sums = [layer.abs().double() for layer in found.sums if layer is not None]
    return float(torch.stack([layer.sum() for layer in sums]).sum()) / sum(layer.numel() for layer in sums)


def zico(passes: Passes) -> float:
    """Sum over layers of log sum over weights of mean |g| / std g, over the parts of the batch."""
    halves = passes[Pass.SPLIT_GRADIENTS]
    layers = [_mean_over_std(parts) for parts in _layers(halves)]
    return _sum_of_logs(layers)


def l_swag(passes: Passes, layers: tuple[float, float] = (0.0, 1.0)) -> float:
    """Sum over layers of log sum over weights of 1 / std |g|, times the number of activation patterns.

    Args:
        passes: shared passes.
        layers: the part of the depth that is read, as fractions; the same for gradients and patterns.
    """
    gradients = _between(_layers(passes[Pass.SPLIT_GRADIENTS]), layers)
    words: list[Tensor] = _between(passes[Pass.PATTERN_WORDS], layers)
    if not words:
        raise UndefinedScoreError(f"no ReLU lies between {layers[0]:g} and {layers[1]:g} of the depth")
    images = min(L_SWAG_IMAGES, passes.num_images)
    return _sum_of_logs([_inverse_std(parts) for parts in gradients]) * count_distinct(torch.cat(words), images)


def _layers(parts: list[WeightGradients]) -> list[Tensor]:
    """The layers with a gradient in every part of the batch, each float64 `[parts, N]`."""
    by_layer = zip(*(part.gradients for part in parts), strict=True)
    return [
        torch.stack([g.reshape(-1).double() for g in found if g is not None])
        for found in by_layer
        if all(g is not None for g in found)
    ]


def _between(items: list[Tensor], layers: tuple[float, float]) -> list[Tensor]:
    low, high = (round(fraction * len(items)) for fraction in layers)
    return items[low:high]


def _mean_over_std(parts: Tensor) -> float:
    std = _std(parts)
    varies = std > 0
    return float((parts.abs().mean(0)[varies] / std[varies]).sum())


def _std(parts: Tensor) -> Tensor:
    """Population standard deviation over the few rows; `Tensor.std` takes ten times as long on such a shape."""
    return (parts - parts.mean(0)).square().mean(0).sqrt()


def _inverse_std(parts: Tensor) -> float:
    std = _std(parts.abs())
    return float((1.0 / std[std > 0]).sum())


def _sum_of_logs(layers: list[float]) -> float:
    positive = [value for value in layers if value > 0.0]
    if not positive:
        raise UndefinedScoreError("no weight has a gradient that differs between the parts of the batch")
    return sum(math.log(value) for value in positive)


GRAD_NORM = Proxy(
    name="grad_norm",
    definition="Σ_l ‖∂L/∂W_l‖₂",
    needs=frozenset({Pass.LOSS_GRADIENT}),
    score=grad_norm,
    higher_is_better=True,
    batch_norm=BatchNorm.BATCH,
    dtype="network",
    source=_SOURCE,
)
SNIP = Proxy(
    name="snip",
    definition="Σ |w ∂L/∂w|",
    needs=frozenset({Pass.LOSS_GRADIENT}),
    score=snip,
    higher_is_better=True,
    batch_norm=BatchNorm.BATCH,
    dtype="network",
    source="Lee et al. 2019 (arXiv:1810.02340), summed as in arXiv:2101.08134",
)
PLAIN = Proxy(
    name="plain",
    definition="Σ w ∂L/∂w, signed",
    needs=frozenset({Pass.LOSS_GRADIENT}),
    score=plain,
    higher_is_better=True,
    batch_norm=BatchNorm.BATCH,
    dtype="network",
    source=_SOURCE,
)
GRASP = Proxy(
    name="grasp",
    definition="−Σ w (H g), H the Hessian and g the gradient of the loss",
    needs=frozenset({Pass.CURVATURE}),
    score=grasp,
    higher_is_better=True,
    batch_norm=BatchNorm.BATCH,
    dtype="network",
    source="Wang et al. 2020 (arXiv:2002.07376), signed as in arXiv:2101.08134",
)
FISHER = Proxy(
    name="fisher",
    definition="Σ over channels ½ mean over images of (Σ over positions a ∂L/∂a)², times the fan-in",
    needs=frozenset({Pass.OUTPUT_SALIENCY}),
    score=fisher,
    higher_is_better=True,
    batch_norm=BatchNorm.BATCH,
    dtype="network",
    source="Turner et al. 2020 (arXiv:1906.04113), summed as in arXiv:2101.08134",
)
GRADSIGN = Proxy(
    name="gradsign",
    definition="mean over weights |Σ over images sign g|, each of the first 16 images alone",
    needs=frozenset({Pass.SAMPLE_SIGNS}),
    score=gradsign,
    higher_is_better=True,
    batch_norm=BatchNorm.BATCH,
    dtype="network",
    source="Zhang and Jia 2022 (arXiv:2110.08616)",
    images=SINGLE_IMAGES,
)
ZICO = Proxy(
    name="zico",
    definition="Σ_l log Σ mean |g| / std g over the two halves of the batch",
    needs=frozenset({Pass.SPLIT_GRADIENTS}),
    score=zico,
    higher_is_better=True,
    batch_norm=BatchNorm.BATCH,
    dtype="network",
    source="Li et al. 2023 (arXiv:2301.11300)",
)
L_SWAG = Proxy(
    name="l_swag",
    definition="Σ_l log Σ 1/std |g| over the two halves of the batch, times swap_16",
    needs=frozenset({Pass.SPLIT_GRADIENTS, Pass.PATTERN_WORDS}),
    score=l_swag,
    higher_is_better=True,
    batch_norm=BatchNorm.BATCH,
    dtype="network",
    source="Casarin et al. 2025 (arXiv:2505.07300)",
)
