"""Scores that need no data: parameters, multiply-adds, norm of the weights."""

from nap2.baselines.undefined import UndefinedScoreError
from nap2.baselines.zero_cost.layers import weights_of
from nap2.baselines.zero_cost.pass_names import Pass
from nap2.baselines.zero_cost.passes import Passes
from nap2.baselines.zero_cost.proxy import BatchNorm, Proxy


def params(passes: Passes) -> float:
    """Number of parameters, biases and normalisation included."""
    return float(sum(parameter.numel() for parameter in passes[Pass.WEIGHTS].parameters()))


def flops(passes: Passes) -> float:
    """Multiply-adds for one image."""
    return float(passes[Pass.OPERATIONS])


def l2_norm(passes: Passes) -> float:
    """Sum over layers of the L2 norm of the weight (PNorm)."""
    weights = weights_of(passes[Pass.WEIGHTS])
    if not weights:
        raise UndefinedScoreError("the network has no convolution or linear layer")
    return sum(float(weight.detach().double().norm()) for weight in weights)


PARAMS = Proxy(
    name="params",
    definition="number of parameters, biases and normalisation included",
    needs=frozenset({Pass.WEIGHTS}),
    score=params,
    higher_is_better=True,
    batch_norm=BatchNorm.UNUSED,
    dtype="exact",
    source="counted",
    images=0,
)
FLOPS = Proxy(
    name="flops",
    definition="multiply-adds of convolutions, linear layers and attention for one image",
    needs=frozenset({Pass.OPERATIONS}),
    score=flops,
    higher_is_better=True,
    batch_norm=BatchNorm.RUNNING,
    dtype="exact",
    source="counted",
    images=1,
)
L2_NORM = Proxy(
    name="l2_norm",
    definition="Σ_l ‖W_l‖₂ (PNorm)",
    needs=frozenset({Pass.WEIGHTS}),
    score=l2_norm,
    higher_is_better=True,
    batch_norm=BatchNorm.UNUSED,
    dtype="float64",
    source="Jing et al. 2025 (arXiv:2507.08841)",
    images=0,
)
