"""Convolutions whose kernel covers all it sees, computed as one matrix product each.

All layers of the autoencoder are of this kind: a kernel (1, 100) on a map 100 wide, (65, 1) on one 65 high, 1 x 1 on a
point. The weights are those of `nn.Conv2d` and `nn.ConvTranspose2d`: the same initial values under the same seed, the
same name and shape in the state dict. In memory they lie as `[first, height, width, second]`, not `[first, second,
height, width]`: the product then needs no copy, as the maps have the statistics innermost; and fused Adam on a CPU
copies every tensor that is not contiguous, so that a mere strided view would cost 80 ms a step.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional


class _GemmConvolution(nn.Module):
    """Holds one kernel in the product's layout; reads and writes state dicts in the convolution's layout."""

    def __init__(self, convolution: nn.Conv2d | nn.ConvTranspose2d) -> None:
        super().__init__()
        assert convolution.bias is not None
        self.weight = nn.Parameter(_to_gemm(convolution.weight.detach()))
        self.bias = nn.Parameter(convolution.bias.detach().clone())

    @property
    def matrix(self) -> Tensor:
        """`[first, height * width * second]`, a view of the weight."""
        return self.weight.flatten(1)

    def extra_repr(self) -> str:
        """The kernel as the convolution would have it."""
        first, height, width, second = self.weight.shape
        return f"weight=[{first}, {second}, {height}, {width}]"

    def _save_to_state_dict(self, destination: Any, prefix: str, keep_vars: bool) -> None:
        super()._save_to_state_dict(destination, prefix, keep_vars)
        destination[f"{prefix}weight"] = destination[f"{prefix}weight"].permute(0, 3, 1, 2)

    def _load_from_state_dict(self, state_dict: Any, prefix: str, *rest: Any) -> None:
        # A shallow copy: the caller's dict keeps the convolution's layout.
        key = f"{prefix}weight"
        if key in state_dict and state_dict[key].dim() == 4:
            state_dict = {**state_dict, key: _to_gemm(state_dict[key])}
        super()._load_from_state_dict(state_dict, prefix, *rest)


class GemmConv2d(_GemmConvolution):
    """`nn.Conv2d(in_channels, out_channels, kernel)` on an input of exactly the kernel's size."""

    def __init__(self, in_channels: int, out_channels: int, kernel: tuple[int, int]) -> None:
        super().__init__(nn.Conv2d(in_channels, out_channels, kernel))

    def forward(self, rows: Tensor) -> Tensor:
        """`[B, height * width * in]` → `[B, out]`."""
        return functional.linear(rows, self.matrix, self.bias)


class GemmConvTranspose2d(_GemmConvolution):
    """`nn.ConvTranspose2d(in_channels, out_channels, kernel)` on a single point."""

    def __init__(self, in_channels: int, out_channels: int, kernel: tuple[int, int]) -> None:
        super().__init__(nn.ConvTranspose2d(in_channels, out_channels, kernel))

    def forward(self, rows: Tensor) -> Tensor:
        """`[B, in]` → `[B, height * width * out]`."""
        places = self.weight.shape[1] * self.weight.shape[2]
        return torch.addmm(self.bias.repeat(places), rows, self.matrix)


def _to_gemm(weight: Tensor) -> Tensor:
    return weight.permute(0, 2, 3, 1).contiguous()
