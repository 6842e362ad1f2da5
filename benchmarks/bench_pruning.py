"""A training step of NAS-Bench-201 candidates: channels-last without dead edges, against contiguous and unpruned."""

import random
from collections.abc import Callable, Iterable
from statistics import median

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from benchmarks.harness import Measurement, paired
from benchmarks.references.nasbench201_plain import plain_network
from nap2.spaces import SPACES
from nap2.training.recipe import RECIPES

SPACE = SPACES["nasbench201"]
RECIPE = RECIPES["nasbench201"]
SAMPLE_SEED = 0
ROW = "NB-201 training step vs contiguous eager"


def measurements(quick: bool) -> list[Measurement]:
    """Full skeleton on 32×32 and 16×16 images, and the reduced skeleton of the demo."""
    if quick:
        return [over_architectures("quick look: N=1, batch 64", 5, 1, image_size=32, batch_size=64, cells_per_stage=1)]
    small = {"stem_channels": 8, "cells_per_stage": 1}
    return [
        over_architectures("32×32, C=16, N=5, batch 256", num_archs=5, rounds=1, image_size=32, batch_size=256),
        over_architectures("16×16, C=16, N=5, batch 256", num_archs=5, rounds=1, image_size=16, batch_size=256),
        over_architectures("8×8, C=8, N=1, batch 64", 9, rounds=5, image_size=8, batch_size=64, **small),
    ]


def over_architectures(
    what: str, num_archs: int, rounds: int, image_size: int, batch_size: int, **skeleton: int
) -> Measurement:
    """One pair of times per architecture, each the median of its rounds: the row's figure is the median over them."""
    generator = torch.Generator().manual_seed(SAMPLE_SEED)
    images = torch.randn(batch_size, 3, image_size, image_size, generator=generator)
    labels = torch.randint(0, 10, (batch_size,), generator=generator)
    ours_s, reference_s = [], []
    for arch_str in architectures(num_archs):
        ours = training_step(our_network(arch_str, **skeleton), RECIPE.build_optimizer, images, labels)
        reference = training_step(plain_network(arch_str, **skeleton), plain_optimizer, images, labels)
        times = paired(ours, reference, rounds=rounds)
        ours_s.append(median(times[0]))
        reference_s.append(median(times[1]))
    ratios = [theirs / mine for mine, theirs in zip(ours_s, reference_s, strict=True)]
    note = f"{num_archs} architectures drawn at random, from {min(ratios):.2f}x to {max(ratios):.2f}x"
    return Measurement(f"{ROW}, {what}", ours_s, reference_s, goal=1.4, stretch=1.8, note=note)


def architectures(count: int) -> list[str]:
    """`count` different cells, drawn uniformly."""
    return random.Random(SAMPLE_SEED).sample(SPACE.arch_strings(), count)


def our_network(arch_str: str, **skeleton: int) -> nn.Module:
    """The network as candidates are trained."""
    network = SPACE.build(arch_str, **skeleton)
    network.prune_dead_edges()
    return network.to(memory_format=torch.channels_last)


def plain_optimizer(parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
    """The recipe's, as one writes it."""
    return torch.optim.SGD(parameters, RECIPE.lr, momentum=0.9, nesterov=True, weight_decay=5e-4)


def training_step(
    network: nn.Module,
    optimizer_of: Callable[[Iterable[nn.Parameter]], torch.optim.Optimizer],
    images: Tensor,
    labels: Tensor,
) -> Callable[[], None]:
    """Forward, backward and the optimizer's step."""
    optimizer = optimizer_of(network.parameters())

    def step() -> None:
        optimizer.zero_grad()
        cross_entropy(network(images), labels).backward()
        optimizer.step()

    return step
