"""A NAS-Bench-201 network written down as the paper draws it: every edge executed, contiguous tensors, eager PyTorch.

Only what a training step needs; parameters are created in the order of `nap2`'s network.
"""

from torch import Tensor, nn


class Zero(nn.Module):
    """An edge that passes zeros."""

    def forward(self, x: Tensor) -> Tensor:
        return x.mul(0.0)


def relu_conv_bn(in_channels: int, out_channels: int, kernel: int, stride: int = 1) -> nn.Sequential:
    conv = nn.Conv2d(in_channels, out_channels, kernel, stride, padding=kernel // 2, bias=False)
    return nn.Sequential(nn.ReLU(), conv, nn.BatchNorm2d(out_channels))


def edge_module(operation: str, channels: int) -> nn.Module:
    return {
        "none": Zero,
        "skip_connect": nn.Identity,
        "nor_conv_1x1": lambda: relu_conv_bn(channels, channels, 1),
        "nor_conv_3x3": lambda: relu_conv_bn(channels, channels, 3),
        "avg_pool_3x3": lambda: nn.AvgPool2d(3, stride=1, padding=1, count_include_pad=False),
    }[operation]()


class PlainCell(nn.Module):
    """Three nodes behind the input, each the sum of its edges."""

    def __init__(self, arch_str: str, channels: int) -> None:
        super().__init__()
        nodes = [[edge.split("~")[0] for edge in node.strip("|").split("|")] for node in arch_str.split("+")]
        self.nodes = nn.ModuleList(nn.ModuleList(edge_module(name, channels) for name in node) for node in nodes)

    def forward(self, x: Tensor) -> Tensor:
        values = [x]
        for node in self.nodes:
            values.append(sum(edge(value) for edge, value in zip(node, values, strict=True)))
        return values[-1]


class PlainReduction(nn.Module):
    """A residual block of stride 2."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv_a = relu_conv_bn(channels, 2 * channels, 3, stride=2)
        self.conv_b = relu_conv_bn(2 * channels, 2 * channels, 3)
        self.shortcut = nn.Sequential(nn.AvgPool2d(2), nn.Conv2d(channels, 2 * channels, 1, bias=False))

    def forward(self, x: Tensor) -> Tensor:
        return self.shortcut(x) + self.conv_b(self.conv_a(x))


def plain_network(
    arch_str: str, num_classes: int = 10, stem_channels: int = 16, cells_per_stage: int = 5
) -> nn.Sequential:
    c, n = stem_channels, cells_per_stage
    blocks: list[nn.Module] = [nn.Conv2d(3, c, 3, padding=1, bias=False), nn.BatchNorm2d(c)]
    blocks += [PlainCell(arch_str, c) for _ in range(n)]
    for width in (c, 2 * c):
        blocks += [PlainReduction(width), *(PlainCell(arch_str, 2 * width) for _ in range(n))]
    head = [nn.BatchNorm2d(4 * c), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4 * c, num_classes)]
    return nn.Sequential(*blocks, *head)
