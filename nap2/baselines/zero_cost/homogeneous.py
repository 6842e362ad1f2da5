"""The absolute network: its gradient in float64, and beyond float64's range where its outputs overflow.

With absolute weights, non-negative inputs, no normalisation and no biases, a network of convolutions, linear layers,
ReLUs, poolings and sums computes a *positively homogeneous* function of any tensor that all paths from input to
logits cross. Such a tensor, a *cut*, may be divided by any c > 0: the logits and every weight gradient are divided
by the same c. Dividing at each cut by the largest value there keeps all numbers within one block's growth of 1, and
the sum of log c is the exact logarithm of what was taken out. Biases enter past some cuts only: each is divided
by the product of the c before it.

Whether a module's output is a cut is not read off the code but measured, by Euler's theorem: on a tame copy whose
layers average their inputs, a tensor t is crossed by every path exactly if sum(t * dR/dt) = R.
"""

import copy
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd import grad

from nap2.baselines.undefined import UndefinedScoreError
from nap2.baselines.zero_cost.layers import BATCH_NORMALISATION, layers_of, replace_modules, weights_of
from nap2.errors import kind_of

SMALLEST, LARGEST = 1e-250, 1e250  # outside, a sum or product of float64 may have lost what it should hold
EULER_TOLERANCE = 1e-11  # rounding of a float64 sum over a large map; a missed path would weigh far more


@dataclass(frozen=True)
class Flow:
    """`exp(log_scale)` times `gradients[l]` is the gradient of the summed logits for `weights[l]`, float64."""

    weights: list[Tensor]
    gradients: list[Tensor | None]
    log_scale: float


def absolute_network(network: nn.Module, removed: tuple[type[nn.Module], ...] = BATCH_NORMALISATION) -> nn.Module:
    """Turn a float64 copy into its absolute network, in place: |w| everywhere, normalisation gone, no dropout."""
    network = replace_modules(network, removed, nn.Identity)
    network.eval()
    for module in network.modules():
        if isinstance(vars(module).get("inplace"), bool):
            module.inplace = False  # type: ignore[assignment]  # a plain attribute of activations
    with torch.no_grad():
        for tensor in (*network.parameters(), *network.buffers()):
            if tensor.is_floating_point():
                tensor.abs_()
    return network


def largest_of(tensors: Iterable[Tensor]) -> float:
    """The largest of all values, 0 if there are none; NaN if one is NaN. One transfer to the host for all tensors."""
    largest = [tensor.detach().amax() for tensor in tensors if tensor.numel()]
    return float(torch.stack(largest).amax()) if largest else 0.0


def flow_of(network: nn.Module, image: Tensor) -> Flow:
    """Weight gradients of the summed logits of an absolute network.

    Args:
        network: from `absolute_network`.
        image: float64 `[1, ...]`, nowhere negative.

    Raises:
        UndefinedScoreError: no path leads from image to logits, or float64 overflows where there is no cut.
    """
    flow = plain_flow(network, image)
    return scaled_flow(network, image) if flow is None else flow


def plain_flow(network: nn.Module, image: Tensor) -> Flow | None:
    """The flow by float64 alone; None where a number leaves its range."""
    weights = weights_of(network)
    total = _summed_logits(network, image)
    if not SMALLEST < float(total.detach()) < LARGEST:
        return None
    gradients: list[Tensor | None] = list(grad(total, weights, allow_unused=True))
    largest = largest_of(g for g in gradients if g is not None)
    return Flow(weights, gradients, 0.0) if largest < LARGEST else None


def scaled_flow(network: nn.Module, image: Tensor) -> Flow:
    """The flow with all cuts divided by their largest value; equals `plain_flow` wherever that exists."""
    weights = weights_of(network)
    with RunningScale(network, find_cuts(network, image)) as scale:
        total = _summed_logits(network, image)
        if not float(total.detach()) < LARGEST:
            raise UndefinedScoreError("it overflows float64 between two layers that every path crosses")
        if float(total.detach()) == 0.0:
            raise UndefinedScoreError("no path leads from the image to the logits (its logarithm is -inf)")
        return Flow(weights, list(grad(total, weights, allow_unused=True)), scale.log_scale)


def find_cuts(network: nn.Module, image: Tensor) -> list[str]:
    """Names of the modules, called once, whose output every path crosses; empty if the network is not homogeneous."""
    tame = _tame(network)
    outputs: dict[str, list[Tensor]] = {}
    for name, module in tame.named_modules():
        module.register_forward_hook(_collector(outputs.setdefault(name, [])))
    total = _summed_logits(tame, image)
    single = {name: found[0] for name, found in outputs.items() if len(found) == 1 and name}
    whole = float(total.detach())
    if not single or whole == 0.0:
        return []
    gradients = grad(total, list(single.values()), allow_unused=True)
    names = [
        name
        for (name, output), gradient in zip(single.items(), gradients, strict=True)
        if gradient is not None and math.isclose(_inner(output, gradient), whole, rel_tol=EULER_TOLERANCE)
    ]
    tested = names[:: len(names) // 200 + 1]  # 2^-200 is far from underflow
    with RunningScale(_tame(network), tested, exponent=1) as scale:
        halved = float(_summed_logits(scale.network, image).detach())
    return names if math.isclose(math.log(halved) + scale.log_scale, math.log(whole), abs_tol=1e-9) else []


class RunningScale:
    """Hooks that divide the named modules' outputs by a power of two (by default the one above their largest value).

    Attributes:
        network: the network that carries the hooks.
        log_scale: logarithm of the product of all divisors so far.
    """

    def __init__(self, network: nn.Module, names: list[str], exponent: int | None = None) -> None:
        self.network, self.names, self.exponent, self.log_scale = network, set(names), exponent, 0.0
        self.biases: list[tuple[Tensor, Tensor]] = []
        self.handles: list[Any] = []

    def __enter__(self) -> "RunningScale":
        for layer in layers_of(self.network):
            if isinstance(layer.bias, Tensor) and bool((layer.bias != 0).any()):
                self.biases.append((layer.bias, layer.bias.detach().clone()))
                self.handles.append(layer.register_forward_pre_hook(self._bias_scaler(*self.biases[-1])))
        for name, module in self.network.named_modules():
            if name in self.names:
                self.handles.append(module.register_forward_hook(lambda _, __, output: self._divide(output)))
        return self

    def __exit__(self, *_: object) -> None:
        for handle in self.handles:
            handle.remove()
        for bias, original in self.biases:
            bias.data.copy_(original)

    def _bias_scaler(self, bias: Tensor, original: Tensor) -> Callable[..., None]:
        def scale_bias(*_: object) -> None:
            bias.data.copy_(original * math.exp(-self.log_scale))

        return scale_bias

    def _divide(self, output: Tensor) -> Tensor:
        largest = float(output.detach().abs().max())
        if not 0.0 < largest < math.inf:
            return output
        exponent = math.frexp(largest)[1] if self.exponent is None else self.exponent
        self.log_scale += exponent * math.log(2.0)
        return output * 2.0**-exponent  # a power of two: no rounding


def _tame(network: nn.Module) -> nn.Module:
    """A copy whose layers average their inputs over the weights that are not zero, without biases."""
    tame = copy.deepcopy(network)
    with torch.no_grad():
        for layer in layers_of(tame):
            weight = layer.weight
            assert isinstance(weight, Tensor)
            present = (weight != 0).to(weight.dtype)
            axes = tuple(range(1, weight.dim()))
            weight.copy_(present / present.sum(axes, keepdim=True).clamp(min=1.0))
            if isinstance(layer.bias, Tensor):
                layer.bias.zero_()
    return tame


def _summed_logits(network: nn.Module, image: Tensor) -> Tensor:
    output = network(image)
    if not isinstance(output, Tensor):
        raise UndefinedScoreError(f"it needs logits, but the network returned {kind_of(output)}")
    if output.numel() == 0:
        raise UndefinedScoreError(f"it needs logits, found shape {list(output.shape)}")
    if not output.requires_grad:
        raise UndefinedScoreError("the logits do not depend on any weight")
    return output.sum()


def _collector(found: list[Tensor]) -> Callable[..., None]:
    def collect(_: nn.Module, __: object, output: object) -> None:
        if isinstance(output, Tensor) and output.requires_grad:
            found.append(output)

    return collect


def _inner(left: Tensor, right: Tensor) -> float:
    return float((left.detach() * right).sum())
