"""Whether the weights of a network have moved since a moment ago: a recorder is to be told of optimizer steps alone."""

from typing import NamedTuple

import torch
from torch import Tensor, nn


class Mark(NamedTuple):
    """What one weight was: how often it had been written to, and some of its values."""

    weight: Tensor
    version: int
    values: Tensor


def marks(model: nn.Module) -> list[Mark]:
    """A mark of every weight that has a gradient; cheap, whatever the size of the network."""
    moving = (weight for weight in model.parameters() if weight.grad is not None)
    return [Mark(weight, weight._version, _corner(weight).clone()) for weight in moving]


def have_moved(before: list[Mark]) -> bool:
    """Whether one of the weights was written to since; True where none is known.

    Torch counts no new version for a fused optimizer, nor for one that writes into `weight.data`: there values decide.
    """
    if not before or any(mark.weight._version != mark.version for mark in before):
        return True
    return not all(torch.equal(_corner(mark.weight), mark.values) for mark in before)


def _corner(weight: Tensor) -> Tensor:
    return weight.detach()[(slice(4),) * weight.dim()]
