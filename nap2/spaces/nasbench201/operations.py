"""The five operations of a cell and the residual reduction between stages, as published (Dong & Yang 2020).

Modules and parameters are created in the published order, so that published weights load by order.
"""

from functools import lru_cache

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, conv2d

MOST_CHANNELS, LEAST_VALUES = 32, 1 << 17  # where pooling by convolution begins to pay, measured on AVX-512


class Zero(nn.Module):
    """The operation `none`: zeros of the input's shape; gradients that pass through it are exact zeros."""

    def forward(self, x: Tensor) -> Tensor:
        return x.mul(0.0)


class ReLUConvBN(nn.Module):
    """ReLU, convolution without bias, BatchNorm."""

    def __init__(self, in_channels: int, out_channels: int, kernel: int, stride: int = 1) -> None:
        super().__init__()
        self.op = nn.Sequential(
            nn.ReLU(inplace=False),
            nn.Conv2d(in_channels, out_channels, kernel, stride, padding=kernel // 2, bias=False),
            nn.BatchNorm2d(out_channels),
        )

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.op(x)
        return y

    def of_zeros(self, zeros: Tensor) -> Tensor:
        """What `forward` makes of zeros, bit by bit, without the convolution that would only make zeros of them."""
        y: Tensor = self.op[2](zeros)
        return y


class AveragePool(nn.AvgPool2d):
    """3×3 mean of the neighbours that exist.

    PyTorch's own kernel spends its time per pixel and not per value, so few channels make it slow on a CPU. There the
    same sum is a depthwise convolution of ones: twice as fast at 16 channels, equal up to rounding.
    """

    def __init__(self) -> None:
        super().__init__(3, stride=1, padding=1, count_include_pad=False)

    def forward(self, x: Tensor) -> Tensor:
        if not _is_faster_by_convolution(x):
            return super().forward(x)
        channels, height, width = x.shape[-3:]
        total = conv2d(x, _ones(channels, 1, 3, 3), padding=1, groups=channels)
        return total / _num_neighbours(height, width)


def _is_faster_by_convolution(x: Tensor) -> bool:
    return (
        x.device.type == "cpu"
        and x.dtype == torch.float32
        and x.dim() == 4
        and x.shape[1] <= MOST_CHANNELS
        and x.numel() >= LEAST_VALUES
        and torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]  # torch annotates it nowhere
        and x.is_contiguous(memory_format=torch.channels_last)
    )


@lru_cache(maxsize=32)
@torch.inference_mode(False)  # the constant outlives the mode of the pass that happens to need it first
def _ones(*shape: int) -> Tensor:
    return torch.ones(shape, dtype=torch.float32, device="cpu")


@lru_cache(maxsize=32)
@torch.inference_mode(False)
def _num_neighbours(height: int, width: int) -> Tensor:
    """float32 `[1, 1, height, width]`: 4 in a corner, 6 at a border, 9 inside."""
    return avg_pool2d(_ones(1, 1, height, width), 3, 1, 1, divisor_override=1)


class ResidualReduction(nn.Module):
    """Two 3×3 convolutions, the first of stride 2, beside average pooling and a 1×1 convolution."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv_a = ReLUConvBN(in_channels, out_channels, 3, stride=2)
        self.conv_b = ReLUConvBN(out_channels, out_channels, 3)
        self.downsample = nn.Sequential(nn.AvgPool2d(2, stride=2), nn.Conv2d(in_channels, out_channels, 1, bias=False))

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.downsample(x) + self.conv_b(self.conv_a(x))
        return y


def build_operation(name: str, channels: int) -> nn.Module:
    """The module of one edge; the number of channels never changes inside a cell."""
    match name:
        case "none":
            return Zero()
        case "skip_connect":
            return nn.Identity()
        case "nor_conv_1x1":
            return ReLUConvBN(channels, channels, 1)
        case "nor_conv_3x3":
            return ReLUConvBN(channels, channels, 3)
        case "avg_pool_3x3":
            return AveragePool()
        case _:
            raise KeyError(name)
