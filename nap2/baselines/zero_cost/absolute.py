"""Passes over the absolute network: synaptic flow, and the entropy of its activations."""

import math

import torch
from torch import Tensor, nn

from nap2.baselines.undefined import UndefinedScoreError
from nap2.baselines.zero_cost.homogeneous import (
    Flow,
    RunningScale,
    absolute_network,
    find_cuts,
    flow_of,
    largest_of,
)
from nap2.baselines.zero_cost.layers import (
    ACTIVATIONS,
    BATCH_NORMALISATION,
    NORMALISATION,
    layers_of,
    relus_of,
    replace_modules,
    weights_of,
)
from nap2.baselines.zero_cost.observers import NO_RELU
from nap2.baselines.zero_cost.workbench import Workbench

ENTROPY_DRAWS = 3
ENTROPY_EPSILON = 1e-8


def synaptic_flow(bench: Workbench) -> Flow:
    """Gradients of the summed logits for an image of ones through the network with absolute weights."""
    image = torch.ones(1, *bench.image_shape(), dtype=torch.float64, device=bench.inputs.device)
    network = absolute_network(bench.copy(torch.float64, without=BATCH_NORMALISATION))
    weights = weights_of(network)
    if not weights:
        raise UndefinedScoreError("the network has no convolution or linear layer")
    if not math.isfinite(largest_of(weights)):
        raise UndefinedScoreError("the weights are not finite")
    return flow_of(network, image)


def flow_entropy(bench: Workbench) -> list[float]:
    """The Entropic Score of `ENTROPY_DRAWS` draws of weights (Kaiming normal, fan-out) and image (U[-.5, .5])."""
    shape = (1, *bench.image_shape())
    network = bench.copy(torch.float64, without=NORMALISATION)
    network = absolute_network(replace_modules(network, ACTIVATIONS, nn.ReLU), NORMALISATION)
    draws = []
    for _ in range(ENTROPY_DRAWS):
        _initialise(network)
        image = torch.rand(shape, dtype=torch.float64, device="cpu").to(bench.inputs.device) - 0.5
        draws.append(_entropy(network, image))
    return draws


def _initialise(network: nn.Module) -> None:
    """|w| of Kaiming-normal weights, biases 0. Drawn on the CPU, so that a device does not change the score."""
    with torch.no_grad():
        for layer in layers_of(network):
            weight = layer.weight
            assert isinstance(weight, Tensor)
            drawn = nn.init.kaiming_normal_(torch.empty(weight.shape, dtype=weight.dtype, device="cpu"), mode="fan_out")
            weight.copy_(drawn.abs())
            if isinstance(layer.bias, Tensor):
                layer.bias.zero_()


def _entropy(network: nn.Module, image: Tensor) -> float:
    """Sum over ReLUs of the mean entropy of their maps, scaled per channel to a maximum of 1.

    The score ignores any common factor of a map, so where float64 overflows the cuts may be divided.
    """
    entropies = _relu_entropies(network, image)
    if entropies is None:
        with RunningScale(network, find_cuts(network, image.abs())):
            entropies = _relu_entropies(network, image)
    if entropies is None:
        raise UndefinedScoreError("it overflows float64 between two layers that every path crosses")
    if not entropies:
        raise UndefinedScoreError(NO_RELU if not relus_of(network) else "no nn.ReLU sees a map with positions")
    return sum(entropies)


def _relu_entropies(network: nn.Module, image: Tensor) -> list[float] | None:
    """The mean entropy of every ReLU's map, in order of execution; None if a map is not finite."""
    found: list[float] = []

    def collect(_: nn.Module, __: object, output: object) -> None:
        if isinstance(output, Tensor) and output.dim() >= 3:
            found.append(_map_entropy(output.detach()))

    handles = [relu.register_forward_hook(collect) for relu in relus_of(network)]
    try:
        with torch.no_grad():
            network(image)
    finally:
        for handle in handles:
            handle.remove()
    return found if all(value == value for value in found) else None


def _map_entropy(output: Tensor) -> float:
    """Mean of `-a log(a + eps)`, where a is the map over its maximum per channel (0 where that is 0)."""
    positions = tuple(range(2, output.dim())) if output.dim() > 3 else (1,)
    largest = output.amax(positions, keepdim=True)
    if not bool(largest.isfinite().all()):
        return float("nan")
    scaled = output / largest.where(largest > 0, torch.ones_like(largest))
    return float(-(scaled * (scaled + ENTROPY_EPSILON).log()).mean())
