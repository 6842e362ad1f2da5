"""Whether a device's float32 is float32: switches (TF32), transforms (FFT) and fixed-point sums can make it less."""

import math
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import NamedTuple

import torch
from torch import Tensor, nn

from nap2.errors import ConfigError
from nap2.seeding import forked_random_state
from nap2.training.layout import memory_format

LARGEST_ERROR: Mapping[str, float] = MappingProxyType({"float32": 1e-4, "bf16": 3e-2})
"""Of a result, relative to its norm, by the precision of a recipe. Float32 stays below 4e-5 here and TF32 is at 3e-4;
bfloat16 is at 3e-3, and at 1e-2 where it adds up (on a CPU)."""

BATCH = 256
"""Of the usual recipes: a library chooses its algorithm by the sizes."""

GRADIENT_SCALE = 1e-6
"""A mean over a batch makes gradients small: in a network as initialised they reach most layers at about this size."""


class Trial(NamedTuple):
    """One operation of the networks that are trained, and the images `[B, C, side, side]` it reads."""

    name: str
    operation: nn.Module
    channels: int
    side: int


def check_arithmetic(device: torch.device | str, precision: str = "float32", batch_size: int = BATCH) -> None:
    """Compare what NAS-Bench-201's cells are made of with double precision on the CPU: 5 CPU seconds.

    Args:
        device: where candidates are to be trained.
        precision: of their recipe; with it goes their layout in memory (`layout.py`).
        batch_size: images of each comparison.

    Raises:
        ConfigError: naming the operation that is furthest off, and by how much.
    """
    errors = dict(arithmetic_errors(device, precision, batch_size))
    name = max(errors, key=lambda name: (math.isnan(errors[name]), errors[name]))
    if not errors[name] <= LARGEST_ERROR[precision]:
        raise ConfigError(
            f"On {torch.device(device)} {name} is off by {errors[name]:.1e} of its size in {precision}, where "
            f"{LARGEST_ERROR[precision]:.0e} would be much: gradients are what is recorded here. Look for what changes "
            "its precision (NVIDIA_TF32_OVERRIDE, another build of torch or cuDNN), or train with trainer=cpu."
        )


def arithmetic_errors(
    device: torch.device | str, precision: str = "float32", batch_size: int = BATCH
) -> Iterator[tuple[str, float]]:
    """The name of each result, such as `the input gradient of a 3×3 convolution`, and its relative error."""
    with forked_random_state(0):
        for trial in _trials():
            images = torch.randn(batch_size, trial.channels, trial.side, trial.side)
            yield from _errors(trial, images, torch.device(device), precision)


def _trials() -> Iterator[Trial]:
    for channels, side in ((16, 32), (64, 8)):
        at = f"({channels} channels, {side}×{side})"
        yield Trial(f"a 3×3 convolution {at}", nn.Conv2d(channels, channels, 3, padding=1, bias=False), channels, side)
        yield Trial(f"a 1×1 convolution {at}", nn.Conv2d(channels, channels, 1, bias=False), channels, side)
        yield Trial(f"a batch normalisation {at}", nn.BatchNorm2d(channels), channels, side)
        yield Trial(f"an average pooling {at}", nn.AvgPool2d(3, 1, 1, count_include_pad=False), channels, side)
    yield Trial("a 3×3 convolution of stride 2", nn.Conv2d(16, 32, 3, stride=2, padding=1, bias=False), 16, 32)
    yield Trial("a linear layer", nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10)), 64, 8)


def _errors(trial: Trial, images: Tensor, device: torch.device, precision: str) -> Iterator[tuple[str, float]]:
    operation = trial.operation.double()
    gradient = GRADIENT_SCALE * torch.randn(operation(images.double()).shape)
    expected = _results(operation, images.double(), gradient.double())
    operation, layout = operation.float(), memory_format(device, precision)
    if precision == "bf16":  # what autocast makes of a network: a normalisation keeps its own parameters in float32
        images, gradient = images.bfloat16(), gradient.bfloat16()
        operation = operation if isinstance(operation, nn.BatchNorm2d) else operation.bfloat16()
    operation.to(device, memory_format=layout)  # type: ignore[call-overload]  # missing from torch's stubs
    found = _results(operation, _laid_out(images, device, layout), _laid_out(gradient, device, layout))
    for kind, result in found.items():
        error = (result.double().cpu() - expected[kind]).norm() / expected[kind].norm()
        yield f"the {kind} of {trial.name}", float(error)


def _laid_out(part: Tensor, device: torch.device, layout: torch.memory_format) -> Tensor:
    """As training on that device has it in memory."""
    return part.to(device, memory_format=layout) if part.dim() == 4 else part.to(device)


def _results(operation: nn.Module, images: Tensor, gradient: Tensor) -> dict[str, Tensor]:
    images = images.detach().requires_grad_()
    parameters = dict(operation.named_parameters())
    output = operation(images)
    gradients = torch.autograd.grad(output, [images, *parameters.values()], gradient)
    names = ("result", "input gradient", *(f"gradient of {name.rpartition('.')[2]}" for name in parameters))
    return {name: value.detach() for name, value in zip(names, (output, *gradients), strict=True)}
