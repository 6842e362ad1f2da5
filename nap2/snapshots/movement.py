"""Whether gradients were added up without a step in between: a recorder is to be told of optimizer steps alone."""

from typing import NamedTuple

import torch
from torch import Tensor, nn


class Mark(NamedTuple):
    """What one weight was: how often it and its gradient had been written to, and some of its values."""

    weight: Tensor
    version: int
    additions: int
    values: Tensor


def marks(model: nn.Module) -> list[Mark]:
    """A mark of every weight that has a gradient; cheap, whatever the size of the network."""
    moving = (weight for weight in model.parameters() if weight.grad is not None and weight.layout == torch.strided)
    return [Mark(weight, weight._version, _additions(weight), _corner(weight).clone()) for weight in moving]


def are_added_up(before: list[Mark]) -> bool:
    """Whether gradients were added to those of then, and no weight has moved since.

    Neither alone tells: a scaler leaves out the step of a gradient that overflows, and a rate of 0 moves nothing; and
    gradients that are set to zero in place are added to in every step.
    """
    return any(_additions(mark.weight) > mark.additions for mark in before) and not _have_moved(before)


def _have_moved(before: list[Mark]) -> bool:
    """Torch counts no new version for a fused optimizer, nor for one that writes into `weight.data`: values decide."""
    if any(mark.weight._version != mark.version for mark in before):
        return True
    return not all(torch.equal(_corner(mark.weight), mark.values) for mark in before)


def _additions(weight: Tensor) -> int:
    """How often its gradient was written to; one that was made anew begins again."""
    return -1 if weight.grad is None else weight.grad._version


def _corner(weight: Tensor) -> Tensor:
    return weight.detach()[(slice(4),) * weight.dim()]
