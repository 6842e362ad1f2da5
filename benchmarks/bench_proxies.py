"""Zero-cost proxies: all of one network against the obvious code one at a time, and single ones in forward passes."""

import copy
import random
from collections.abc import Callable
from statistics import median

import torch
from torch import Tensor, nn
from torch.autograd import grad
from torch.nn.functional import cross_entropy

from benchmarks.harness import Measurement, paired
from benchmarks.references.proxies_plain import REFERENCES
from nap2.baselines import PROXIES, score_network
from nap2.baselines.zero_cost.layers import weights_of
from nap2.baselines.zero_cost.pass_names import Pass
from nap2.spaces import SPACES

SPACE = SPACES["nasbench201"]
HEAVIEST = "|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|+|nor_conv_3x3~0|nor_conv_3x3~1|nor_conv_3x3~2|"
BATCH = 64
IN_FORWARDS = {"naswot": 1.6, "snip": 3.0, "grad_norm": 3.0, "synflow": 0.3, "swap": 2.0}
"""What a proxy may cost at most, in forward passes of its batch."""


def measurements(quick: bool) -> list[Measurement]:
    """All proxies on the heaviest cell and on random ones; single ones on the heaviest."""
    skeleton = {"cells_per_stage": 1} if quick else {}
    arch_strs = random.Random(0).sample(SPACE.arch_strings(), 1 if quick else 2)
    rows = [all_proxies("heaviest cell", [HEAVIEST], **skeleton), all_proxies("random cells", arch_strs, **skeleton)]
    return rows + [in_forwards(name, goal, 3 if quick else 15, **skeleton) for name, goal in IN_FORWARDS.items()]


def all_proxies(what: str, arch_strs: list[str], **skeleton: int) -> Measurement:
    """One pair of times per cell: every proxy in one call, and each by the obvious code."""
    images, labels = batch()
    ours_s, reference_s = [], []
    for arch_str in arch_strs:
        network = SPACE.build(arch_str, **skeleton)
        plain = [lambda f=f, n=network: f(n, images, labels) for f in REFERENCES.values()]
        times = paired(lambda n=network: score_network(n, images, labels), lambda p=plain: run_each(p), 1, warmup=0)
        ours_s += times[0]
        reference_s += times[1]
    row = f"all {len(PROXIES)} proxies of one network vs one at a time, {what}, batch {BATCH}"
    seconds = f"{median(ours_s):.3g} s against {median(reference_s):.3g} s"
    note = f"{len(arch_strs)} NAS-Bench-201 networks, {size(skeleton)}; {seconds}"
    return Measurement(row, ours_s, reference_s, goal=2.5, stretch=5.0, note=note)


def in_forwards(name: str, goal: float, rounds: int, **skeleton: int) -> Measurement:
    """A proxy by itself, against one forward pass without a graph in the same memory format."""
    images, labels = batch()
    network = SPACE.build(HEAVIEST, **skeleton)
    fast, fast_images = (thing.to(memory_format=torch.channels_last) for thing in (copy.deepcopy(network), images))
    ours, forward = paired(
        lambda: score_network(network, images, labels, [name]), forward_pass(fast, fast_images), rounds
    )
    plain = paired(lambda: None, lambda: REFERENCES[name](network, images, labels), 1, warmup=0)[1][0]
    value = median(mine / one for mine, one in zip(ours, forward, strict=True))
    note = f"heaviest cell, {size(skeleton)}; the obvious code takes {plain / median(forward):.2f}"
    if Pass.LOSS_GRADIENT in PROXIES[name].needs:
        bare = paired(loss_gradient(fast, fast_images, labels), forward_pass(fast, fast_images), rounds)
        note += f", a bare forward and backward pass {median(mine / one for mine, one in zip(*bare, strict=True)):.2f}"
    row = f"{name} by itself, batch {BATCH}"
    return Measurement(row, ours, forward, goal, unit="forwards", note=note, value=value, lower_is_better=True)


def batch() -> tuple[Tensor, Tensor]:
    """Random images of CIFAR's size, and labels."""
    generator = torch.Generator().manual_seed(0)
    return torch.randn(BATCH, 3, 32, 32, generator=generator), torch.randint(0, 10, (BATCH,), generator=generator)


def run_each(functions: list[Callable[[], float]]) -> list[float]:
    """One after the other."""
    return [function() for function in functions]


def forward_pass(network: nn.Module, images: Tensor) -> Callable[[], Tensor]:
    """In training mode, as the proxies look."""

    def forward() -> Tensor:
        with torch.no_grad():
            output: Tensor = network(images)
        return output

    return forward


def loss_gradient(network: nn.Module, images: Tensor, labels: Tensor) -> Callable[[], tuple[Tensor, ...]]:
    """What no score of the loss gradient can do without."""
    weights = weights_of(network)
    return lambda: grad(cross_entropy(network(images), labels), weights)


def size(skeleton: dict[str, int]) -> str:
    """The size of a network in words."""
    shape = {**SPACE.default_skeleton, **skeleton}
    return f"C={shape['stem_channels']}, N={shape['cells_per_stage']}"
