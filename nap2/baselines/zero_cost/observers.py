"""What is collected while a batch runs: forward and backward hooks on a copy of the network."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from nap2.baselines.undefined import UndefinedScoreError
from nap2.baselines.zero_cost.layers import Convolution, blocks_of, layers_of, leaves_of, relus_counted_twice, relus_of
from nap2.baselines.zero_cost.patterns import joint_activity, pack_patterns, rows_of

SMALLEST_SQUARE = 1e-25  # below, float32 may have rounded squares of small gradients to zero
NO_RELU = "no nn.ReLU module was run"


class Observer:
    """Hooks on a copy. A hook that cannot read what it sees sets `failure` and lets the network run on.

    Attributes:
        seconds: spent inside this observer's hooks.
        in_loss: whether the loss is being differentiated; gradient hooks sleep otherwise.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self.clock, self.seconds, self.in_loss = clock, 0.0, False
        self.failure: str | None = None

    def attach(self, network: nn.Module, num_images: int) -> None:
        """Register all hooks."""
        raise NotImplementedError

    def result(self) -> Any:
        """What was collected; raises `UndefinedScoreError` if that is nothing."""
        raise NotImplementedError

    def guarded(self, collect: Callable[..., None], *values: Any) -> None:
        """Run one hook's work without a graph, on the clock."""
        if self.failure is not None:
            return
        start = self.clock()
        try:
            with torch.no_grad():
                collect(*values)
        except UndefinedScoreError as error:
            self.failure = str(error)
        self.seconds += self.clock() - start

    def checked(self, found: Any, nothing: str) -> Any:
        """`found`, if it is something and no hook failed."""
        if self.failure is not None:
            raise UndefinedScoreError(self.failure)
        if not found:
            raise UndefinedScoreError(nothing)
        return found


def per_image(values: Any, num_images: int) -> Tensor:
    """A module's input or output, if its first axis is the batch."""
    if not isinstance(values, Tensor) or values.dim() < 2 or len(values) != num_images:
        shape = list(values.shape) if isinstance(values, Tensor) else type(values).__name__
        raise UndefinedScoreError(f"a ReLU sees {shape}, whose first axis is not the {num_images} images")
    return values.detach()


@dataclass(frozen=True)
class Overlap:
    """`joint` float64 `[B, B]`: neurons active for both images; `num_neurons` of all ReLUs together.

    `again` and `num_again` are the same of the ReLUs that code counts twice which finds them by class names.
    """

    joint: Tensor
    num_neurons: int
    again: Tensor
    num_again: int


class OverlapObserver(Observer):
    """Sums `joint_activity` over all ReLUs."""

    def attach(self, network: nn.Module, num_images: int) -> None:
        self.num_images = num_images
        self.found: Overlap | None = None
        twice = relus_counted_twice(network)
        for relu in relus_of(network):
            relu.register_forward_hook(
                lambda relu, _, output: self.guarded(self.collect, output, float(relu in twice)),
            )

    def collect(self, output: Any, extra: float) -> None:
        output = per_image(output, self.num_images)
        joint, neurons = joint_activity(output), output[0].numel()
        new = Overlap(joint, neurons, joint * extra, neurons * int(extra))
        old = self.found
        self.found = (
            new
            if old is None
            else Overlap(
                old.joint + joint, old.num_neurons + neurons, old.again + new.again, old.num_again + new.num_again
            )
        )

    def result(self) -> Overlap:
        found: Overlap = self.checked(self.found, NO_RELU)
        return found


class WordObserver(Observer):
    """Packs the patterns of every ReLU: a list, in order of execution, of int64 `[n, ceil(B / 64)]`."""

    def attach(self, network: nn.Module, num_images: int) -> None:
        self.num_images = num_images
        self.found: list[Tensor] = []
        for relu in relus_of(network):
            relu.register_forward_hook(lambda _, __, output: self.guarded(self.collect, output))

    def collect(self, output: Any) -> None:
        self.found.append(pack_patterns(per_image(output, self.num_images)))

    def result(self) -> list[Tensor]:
        found: list[Tensor] = self.checked(self.found, NO_RELU)
        return found


def image_correlations(values: Tensor) -> Tensor | None:
    """Absolute Pearson correlations between images, float64 `[B, B]`; None if an image's values are all equal."""
    rows = rows_of(values)
    rows = rows - rows.mean(1, keepdim=True)
    products = (rows @ rows.t()).double()
    if float(products.diagonal().min()) < SMALLEST_SQUARE:
        products = rows.double() @ rows.double().t()
    norms = products.diagonal().sqrt()
    if not bool((norms > 0).all()):
        return None
    correlations = (products / torch.outer(norms, norms)).abs()
    return correlations if bool(correlations.isfinite().all()) else None


class CorrelationObserver(Observer):
    """Sums `image_correlations` of ReLU inputs, and of their gradients, over ReLUs of equal depth.

    Depth is the number of blocks that are complete when the ReLU runs; in a network without blocks it is the
    number of ReLUs before it. The result maps depth to float64 `[B, B]`.
    """

    def attach(self, network: nn.Module, num_images: int) -> None:
        self.num_images = num_images
        self.found: dict[int, Tensor] = {}
        self.depth = 0
        for relu in relus_of(network):
            relu.register_forward_pre_hook(lambda _, args: self.guarded(self.collect, args[0], self.depth))
            relu.register_forward_hook(lambda _, __, output: self.follow(output))
        markers = blocks_of(network) or relus_of(network)
        for marker in markers:
            marker.register_forward_hook(lambda *_: self.descend())

    def descend(self) -> None:
        self.depth += 1

    def collect(self, values: Any, depth: int) -> None:
        correlations = image_correlations(per_image(values, self.num_images))
        if correlations is not None:
            self.found[depth] = self.found[depth] + correlations if depth in self.found else correlations

    def follow(self, output: Any) -> None:
        if not isinstance(output, Tensor) or not output.requires_grad:
            return
        depth, active = self.depth, output.detach()

        def on_gradient(gradient: Tensor) -> None:
            if self.in_loss:
                self.guarded(lambda: self.collect(gradient.detach() * (active > 0), depth))

        output.register_hook(on_gradient)  # type: ignore[no-untyped-call]  # torch leaves it unannotated

    def result(self) -> dict[int, Tensor]:
        found: dict[int, Tensor] = self.checked(self.found, "no nn.ReLU module tells the images apart")
        return found


class FirstImageObserver(Observer):
    """The correlations between the channels of each leaf module's output, first image: a list of `[C, C]`."""

    def attach(self, network: nn.Module, num_images: int) -> None:
        self.num_images = num_images
        self.found: list[Tensor] = []
        for leaf in leaves_of(network):
            leaf.register_forward_hook(lambda _, __, output: self.guarded(self.collect, output))

    def collect(self, output: Any) -> None:
        if isinstance(output, Tensor) and output.dim() >= 3 and len(output) == self.num_images and len(output[0]) > 1:
            channels = output[0].detach().flatten(1)
            channels = channels - channels.mean(1, keepdim=True)
            channels = channels / channels.norm(dim=1, keepdim=True)
            self.found.append((channels @ channels.t()).nan_to_num(0.0, 0.0, 0.0))

    def result(self) -> list[Tensor]:
        found: list[Tensor] = self.checked(self.found, "no leaf module returns a map of several channels")
        return found


@dataclass(frozen=True)
class LayerSaliency:
    """`per_image` `[B, channels]`: the sum over positions of activation times gradient; `fan_in` of a channel."""

    per_image: Tensor
    fan_in: int


class SaliencyObserver(Observer):
    """Activation times loss gradient at the output of every layer, one `LayerSaliency` per call of a layer."""

    def attach(self, network: nn.Module, num_images: int) -> None:
        self.found: list[LayerSaliency] = []
        for layer in layers_of(network):
            layer.register_forward_hook(lambda layer, _, output: self.follow(layer, output))

    def follow(self, layer: nn.Module, output: Any) -> None:
        if not isinstance(output, Tensor) or not output.requires_grad:
            return
        seen, version = output.detach(), output._version

        def on_gradient(gradient: Tensor) -> None:
            if self.in_loss:
                self.guarded(self.collect, layer, seen, gradient, version)

        output.register_hook(on_gradient)  # type: ignore[no-untyped-call]  # torch leaves it unannotated

    def collect(self, layer: nn.Module, seen: Tensor, gradient: Tensor, version: int) -> None:
        if seen._version != version:
            raise UndefinedScoreError("a layer's output is changed in place before its gradient is known")
        channel_axis = 1 if isinstance(layer, Convolution) else seen.dim() - 1
        positions = [axis for axis in range(1, seen.dim()) if axis != channel_axis]
        product = seen * gradient.detach()
        weight = layer.weight
        assert isinstance(weight, Tensor)
        fan_in = weight.numel() // len(weight)
        self.found.append(LayerSaliency(product.sum(positions) if positions else product, fan_in))

    def result(self) -> list[LayerSaliency]:
        found: list[LayerSaliency] = self.checked(self.found, "the loss reaches no layer's output")
        return found
