"""The network of a cell: stem, three stages of N cells with max pooling between them, head; as published.

Modules are created in the published order: in a cell vertex by vertex, the projection of the input before the
operation, the projection that is added to the output last. Initial weights follow the published initialisers
(fan-in scaled truncated normal; uniform Glorot for the classifier). BatchNorm's running averages do not: see
docs/decisions.md.
"""

import math
from typing import cast

import torch
from torch import Tensor, nn

from nap2.errors import NetworkError
from nap2.spaces.nasbench101.cell import Cell
from nap2.spaces.nasbench101.channels import vertex_channels

NUM_STAGES = 3
KERNEL = {"conv3x3": 3, "conv1x1": 1}
TRUNCATED_STD = 0.87962566103423978  # standard deviation of a normal variable cut off at ±2


class ConvBNReLU(nn.Sequential):
    """Convolution without bias, BatchNorm, ReLU."""

    def __init__(self, in_channels: int, out_channels: int, kernel: int) -> None:
        super().__init__(
            nn.Conv2d(in_channels, out_channels, kernel, padding=kernel // 2, bias=False),
            nn.BatchNorm2d(out_channels),
            nn.ReLU(inplace=True),
        )


class InferCell(nn.Module):
    """One cell. A vertex adds what it reads, the output joins it; the input is projected wherever it is read."""

    def __init__(self, cell: Cell, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.cell = cell
        self.channels = vertex_channels(cell, in_channels, out_channels)
        self.vertices = nn.ModuleList(self._vertex(vertex) for vertex in range(1, cell.num_vertices))

    def _vertex(self, vertex: int) -> nn.ModuleDict:
        parts: dict[str, nn.Module] = {}
        if 0 in self.cell.sources(vertex):
            parts["projection"] = ConvBNReLU(self.channels[0], self.channels[vertex], 1)
        if vertex < self.cell.output:
            parts["operation"] = _operation(self.cell.operations[vertex - 1], self.channels[vertex])
        return nn.ModuleDict(parts)

    def forward(self, x: Tensor) -> Tensor:
        values = [x]
        for vertex, parts in enumerate(self.vertices, 1):
            parts = cast(nn.ModuleDict, parts)
            read = [values[source] for source in self.cell.sources(vertex) if source > 0]
            if vertex < self.cell.output:
                read = [value[:, : self.channels[vertex]] for value in read]
            elif read:
                read = [torch.cat(read, 1)]
            if "projection" in parts:
                read.append(parts["projection"](x))
            total = read[0]
            for value in read[1:]:
                total = total + value
            values.append(parts["operation"](total) if "operation" in parts else total)
        return values[-1]


def _operation(name: str, channels: int) -> nn.Module:
    if name == "maxpool3x3":
        return nn.MaxPool2d(3, stride=1, padding=1)
    return ConvBNReLU(channels, channels, KERNEL[name])


class NASBench101Network(nn.Module):
    """Images `[B, 3, H, W]` to logits `[B, num_classes]`."""

    def __init__(self, cell: Cell, num_classes: int, stem_channels: int, cells_per_stage: int) -> None:
        super().__init__()
        width = channels = stem_channels
        self.stem = ConvBNReLU(3, channels, 3)
        self.cells = nn.ModuleList()
        for stage in range(NUM_STAGES):
            if stage:
                self.cells.append(nn.MaxPool2d(2, stride=2, ceil_mode=True))
                width *= 2
            for _ in range(cells_per_stage):
                self.cells.append(InferCell(cell, channels, width))
                channels = width
        self.classifier = nn.Linear(channels, num_classes)
        _initialise(self)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.classifier(self.features(x))
        return logits

    def features(self, x: Tensor) -> Tensor:
        """What the classifier reads, `[B, 4 * stem_channels]`.

        Raises:
            NetworkError: for images of another shape.
        """
        if x.dim() != 4 or x.shape[1] != 3:
            raise NetworkError(
                f"A NAS-Bench-101 network reads images [B, 3, H, W], not {list(x.shape)}; repeat a single channel."
            )
        x = self.stem(x)
        for block in self.cells:
            x = block(x)
        return x.mean((2, 3))

    def prune_dead_edges(self) -> "NASBench101Network":
        """Nothing to do: every edge of the space's cells reaches the output."""
        return self


def build(
    arch_str: str, num_classes: int = 10, stem_channels: int = 128, cells_per_stage: int = 3
) -> NASBench101Network:
    """The network of an arch string, initialised as published from torch's current random state.

    Raises:
        ArchStringError: if the string cannot be read.
        NetworkError: if a size is no whole number, below 1, or leaves a vertex without a channel.
    """
    sizes = {"num_classes": num_classes, "stem_channels": stem_channels, "cells_per_stage": cells_per_stage}
    for name, value in sizes.items():
        if not isinstance(value, int) or value < 1:
            raise NetworkError(f"A NAS-Bench-101 network cannot have {name}={value!r}; use a whole number from 1 on.")
    cell = Cell.parse(arch_str)
    joined = len([source for source in cell.sources(cell.output) if source > 0])
    if stem_channels < joined:
        raise NetworkError(
            f"stem_channels={stem_channels} cannot be shared by the {joined} vertices that the output of {arch_str!r} "
            f"joins; use at least {joined}."
        )
    return NASBench101Network(cell, **sizes)


def _initialise(network: nn.Module) -> None:
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            fan_in = module.weight[0].numel()
            std = math.sqrt(1.0 / fan_in) / TRUNCATED_STD
            nn.init.trunc_normal_(module.weight, std=std, a=-2.0 * std, b=2.0 * std)
        elif isinstance(module, nn.Linear):
            nn.init.xavier_uniform_(module.weight)
            nn.init.zeros_(module.bias)
