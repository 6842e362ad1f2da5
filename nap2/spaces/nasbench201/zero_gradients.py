"""Gradients of exactly zero for parameters that a pruned forward pass did not touch.

The published network multiplies a dead edge by 0, so its weights receive zeros, on which momentum and weight decay act.
Without them an optimizer would skip those weights (`grad is None`), and their rows of a feature map would differ.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor


def with_zero_gradients(x: Tensor, parameters: Sequence[Tensor]) -> Tensor:
    """`x` itself, through whose backward pass every one of `parameters` receives zeros of its own shape and layout."""
    if not parameters or not torch.is_grad_enabled():
        return x
    y: Tensor = _WithZeroGradients.apply(x, *parameters)  # type: ignore[no-untyped-call]  # torch annotates none
    return y


class _WithZeroGradients(torch.autograd.Function):
    generate_vmap_rule = True  # so that torch.func transforms go through

    @staticmethod
    def forward(x: Tensor, *parameters: Tensor) -> Tensor:
        return x.view_as(x)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        ctx.save_for_backward(*inputs[1:])

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, ...]:
        return gradients[0], *(torch.zeros_like(parameter) for parameter in ctx.saved_tensors)
