"""Scores of the absolute network: synaptic flow, its logarithmic form, the entropy of its activations."""

import math

import torch
from torch import Tensor

from nap2.baselines.undefined import UndefinedScoreError
from nap2.baselines.zero_cost.homogeneous import Flow
from nap2.baselines.zero_cost.pass_names import Pass
from nap2.baselines.zero_cost.passes import Passes
from nap2.baselines.zero_cost.proxy import BatchNorm, Proxy


def synflow(passes: Passes) -> float:
    """log of the sum over weights of |w dR/dw|."""
    flow: Flow = passes[Pass.SYNAPTIC_FLOW]
    pairs = [(w.detach(), g) for w, g in zip(flow.weights, flow.gradients, strict=True) if g is not None]
    total = float(torch.stack([(w * g).sum() for w, g in pairs]).sum()) if pairs else 0.0
    if not total > 0.0:
        raise UndefinedScoreError("no path leads from the image to the logits (its logarithm is -inf)")
    return flow.log_scale + math.log(total)


def logsynflow(passes: Passes) -> float:
    """Sum over weights of |w| log(1 + dR/dw); with a scale s, log(1 + e^s g) is logaddexp(0, s + log g)."""
    flow: Flow = passes[Pass.SYNAPTIC_FLOW]
    total = 0.0
    for weight, gradient in zip(flow.weights, flow.gradients, strict=True):
        if gradient is not None:
            if bool((gradient <= -1.0).any()):
                raise UndefinedScoreError("the absolute network's output falls as a weight grows, as with attention")
            scaled = gradient.log1p() if flow.log_scale == 0.0 else _softplus(flow.log_scale + gradient.log())
            total += float((weight.detach() * scaled).sum())
    return total


def _softplus(log_gradient: Tensor) -> Tensor:
    return log_gradient.clamp(min=0.0) + (-log_gradient.abs()).exp().log1p()


def entropic_score(passes: Passes) -> float:
    """Mean over draws of the sum over ReLUs of the mean entropy of their maps."""
    draws: list[float] = passes[Pass.FLOW_ENTROPY]
    return sum(draws) / len(draws)


SYNFLOW = Proxy(
    name="synflow",
    definition="log Σ |w ∂R/∂w|, R the summed logits of the network with |w| for an image of ones",
    needs=frozenset({Pass.SYNAPTIC_FLOW}),
    score=synflow,
    higher_is_better=True,
    batch_norm=BatchNorm.OFF,
    dtype="float64",
    source="Tanaka et al. 2020 (arXiv:2006.05467), summed as in arXiv:2101.08134",
    images=0,
)
LOGSYNFLOW = Proxy(
    name="logsynflow",
    definition="Σ |w| log(1 + ∂R/∂w), R as for synflow",
    needs=frozenset({Pass.SYNAPTIC_FLOW}),
    score=logsynflow,
    higher_is_better=True,
    batch_norm=BatchNorm.OFF,
    dtype="float64",
    source="Cavagnero et al. 2023 (FreeREA, arXiv:2207.05135)",
    images=0,
)
ENTROPIC_SCORE = Proxy(
    name="entropic_score",
    definition="Σ over ReLUs mean −a log a, a the map over its channel maximum, |w| Kaiming, mean of 3 draws",
    needs=frozenset({Pass.FLOW_ENTROPY}),
    score=entropic_score,
    higher_is_better=True,
    batch_norm=BatchNorm.OFF,
    dtype="float64",
    source="Cavagnero et al. 2023 (Entropic Score)",
    images=0,
)
