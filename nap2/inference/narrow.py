"""Tensors in fewer bytes: in what widths a predictor's matrices are stored, and how they are read back."""

from collections.abc import Mapping

import torch
from torch import Tensor

from nap2.errors import CheckpointError

BITS = (32, 16, 8)
LARGE = 10**6  # entries of a matrix that 8 bits pay for
SCALE = ".scale"
Tensors = Mapping[str, Tensor]


def narrowed(state: Tensors, bits: int = 16) -> dict[str, Tensor]:
    """The same tensors in fewer bytes; `widened` reads them back.

    Args:
        state: float32 tensors are narrowed, others are kept.
        bits: 16: matrices in half precision. 8: those of a million entries or more as whole numbers from -127 to 127
            and one scale for each row (`<name>.scale`), smaller ones in half precision. 32: everything stays. Vectors
            (biases, norms) always stay as they are, and so does a matrix with a value beyond half precision.
    """
    if bits not in BITS:
        raise CheckpointError(f"Tensors can be stored in {', '.join(map(str, BITS))} bits, not in {bits}.")
    small: dict[str, Tensor] = {}
    for name, tensor in state.items():
        if bits == 32 or tensor.dim() < 2 or tensor.dtype != torch.float32:
            small[name] = tensor
        elif bits == 8 and tensor.numel() >= LARGE and bool(tensor.isfinite().all()):
            scale = tensor.flatten(1).abs().amax(1) / 127
            rows = tensor / scale.clamp(min=torch.finfo(scale.dtype).tiny).view(-1, *[1] * (tensor.dim() - 1))
            small[name], small[name + SCALE] = rows.round().to(torch.int8), scale
        else:
            half = tensor.half()
            small[name] = half if bool(half.isfinite().all()) else tensor
    return small


def widened(state: Tensors) -> dict[str, Tensor]:
    """What `narrowed` made, as float32 and ready to compute with; other tensors as they are."""
    wide: dict[str, Tensor] = {}
    for name, tensor in state.items():
        if tensor.dtype == torch.int8 and name + SCALE in state:
            wide[name] = tensor.float() * state[name + SCALE].view(-1, *[1] * (tensor.dim() - 1))
        elif not name.endswith(SCALE) or name.removesuffix(SCALE) not in state:
            wide[name] = tensor.float() if tensor.dtype == torch.float16 else tensor
    return wide
