"""Passes over networks whose weights are drawn anew from N(0, 1): Zen-Score's response, SWAP-Score's protocol."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from nap2.baselines.undefined import UndefinedScoreError
from nap2.baselines.zero_cost.layers import BATCH_NORMALISATION, POOLS, layers_of, leaves_of
from nap2.baselines.zero_cost.observers import WordObserver
from nap2.baselines.zero_cost.patterns import count_distinct
from nap2.baselines.zero_cost.workbench import Workbench

ZEN_IMAGES = 16  # as published
ZEN_DRAWS = 2  # published: 32; the spread between draws is small against that between networks
ZEN_STEP = 0.01
SWAP_IMAGES = 16  # as published
SWAP_DRAWS = 8  # published: 32


@dataclass(frozen=True)
class Response:
    """`change`: mean over images of the L1 change of the last feature map; `variances`: mean running variance of
    every batch normalisation after the two forward passes."""

    change: float
    variances: list[float]


def initialise(network: nn.Module, draw: str = "normal") -> None:
    """Weights N(0, 1) (or Kaiming normal, fan-in), biases 0, batch normalisation fresh. Drawn on the CPU."""
    with torch.no_grad():
        for layer in layers_of(network):
            weight = layer.weight
            assert isinstance(weight, Tensor)
            fresh = torch.empty(weight.shape, dtype=weight.dtype, device="cpu")
            weight.copy_(nn.init.normal_(fresh) if draw == "normal" else nn.init.kaiming_normal_(fresh))
            if isinstance(layer.bias, Tensor):
                layer.bias.zero_()
        for module in network.modules():
            if isinstance(module, BATCH_NORMALISATION):
                module.reset_parameters()  # type: ignore[operator]  # a method of every batch normalisation


def random_images(bench: Workbench, limit: int | None = None) -> Tensor:
    """As many N(0, 1) images as the batch has, at most `limit`; drawn on the CPU."""
    shape = (len(bench.inputs[:limit]), *bench.image_shape())
    images = torch.randn(shape, dtype=bench.dtype, device="cpu").to(bench.inputs.device)
    return images.contiguous(memory_format=torch.channels_last) if bench.channels_last else images


def gaussian_response(bench: Workbench) -> list[Response]:
    """How far the last feature map moves when random images move by `ZEN_STEP`, for `ZEN_DRAWS` draws."""
    network = bench.copy()
    norms = [module for module in network.modules() if isinstance(module, BATCH_NORMALISATION)]
    for norm in norms:
        _track(norm, bench.inputs.device, bench.dtype)
    last = _LastMap(network)
    found = []
    for _ in range(ZEN_DRAWS):
        initialise(network)
        images = random_images(bench, ZEN_IMAGES)
        moved = images + ZEN_STEP * random_images(bench, ZEN_IMAGES)
        change = (last.of(images) - last.of(moved)).abs().flatten(1).sum(1).mean()
        found.append(Response(float(change), [float(norm.running_var.mean()) for norm in norms]))  # type: ignore[operator]  # set by _track
    return found


def gaussian_patterns(bench: Workbench) -> list[int]:
    """Distinct sample-wise activation patterns on the first images, for `SWAP_DRAWS` draws of the weights."""
    network, images = bench.copy(), bench.images(SWAP_IMAGES)
    counts = []
    observer = WordObserver(bench.clock)
    observer.attach(network, len(images))
    for _ in range(SWAP_DRAWS):
        initialise(network)
        observer.found.clear()
        with torch.no_grad():
            network(images.clone())
        counts.append(count_distinct(torch.cat(observer.result()), len(images)))
    return counts


class _LastMap:
    """Runs a network and keeps the last map `[B, C, H, W]` that a leaf module other than a pooling returned."""

    def __init__(self, network: nn.Module) -> None:
        self.network = network
        self.found: list[Tensor] = []
        for leaf in leaves_of(network):
            if not isinstance(leaf, POOLS):
                leaf.register_forward_hook(lambda _, __, output: self._keep(output))

    def _keep(self, output: object) -> None:
        if isinstance(output, Tensor) and output.dim() == 4:
            self.found = [output]

    def of(self, images: Tensor) -> Tensor:
        self.found.clear()
        with torch.no_grad():
            self.network(images)
        if not self.found:
            raise UndefinedScoreError("no leaf module returns a feature map [B, C, H, W]")
        return self.found[0]


def _track(norm: nn.Module, device: torch.device, dtype: torch.dtype) -> None:
    """Running statistics with momentum 0.1, whatever the network asked for."""
    features = norm.num_features
    assert isinstance(features, int)
    like = torch.ones(features, device=device, dtype=dtype)
    norm.register_buffer("running_mean", torch.zeros_like(like))
    norm.register_buffer("running_var", torch.ones_like(like))
    norm.register_buffer("num_batches_tracked", torch.tensor(0, device=like.device))
    norm.track_running_stats, norm.momentum = True, 0.1  # type: ignore[assignment]  # plain attributes


def log_response(response: Response) -> float:
    """Zen-Score of one draw: log change + half the log of every mean running variance."""
    if response.change <= 0.0:
        raise UndefinedScoreError("the last feature map does not move with the images (its logarithm is -inf)")
    return math.log(response.change) + 0.5 * sum(math.log(variance) for variance in response.variances)
