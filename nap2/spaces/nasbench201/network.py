"""The network of a cell: stem, three stages of N cells with a residual reduction between them, head."""

from typing import cast

import torch
from torch import Tensor, nn

from nap2.errors import NetworkError
from nap2.spaces.nasbench201.cell import EDGES, NUM_NODES, Cell
from nap2.spaces.nasbench201.edge_roles import EdgeRole, edge_roles, is_cut_off
from nap2.spaces.nasbench201.operations import ReLUConvBN, ResidualReduction, build_operation
from nap2.spaces.nasbench201.zero_gradients import with_zero_gradients

NUM_STAGES = 3
SIDE_UNIT = 4  # the two branches of a reduction disagree about half of an odd side


class InferCell(nn.Module):
    """One cell. Node 0 is its input; node j is the sum of its incoming edges; node 3 is its output."""

    def __init__(self, cell: Cell, channels: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(build_operation(name, channels) for name in cell.operations)
        self.roles = (EdgeRole.WHOLE,) * len(EDGES)
        self.pruned_roles = edge_roles(cell)
        self.is_cut_off = is_cut_off(cell)

    def forward(self, x: Tensor) -> Tensor:
        nodes: list[Tensor | None] = [x] + [None] * (NUM_NODES - 1)
        has_skipped = [False] * NUM_NODES
        for layer, (source, target), role in zip(self.layers, EDGES, self.roles, strict=True):
            total = nodes[target]
            if role is EdgeRole.DEAD:
                has_skipped[target] = True
                nodes[target] = None if total is None else _plus_zero(total)
                continue
            value = self._bias(layer, x) if role is EdgeRole.BIAS else layer(nodes[source])
            if total is None:
                nodes[target] = _plus_zero(value) if has_skipped[target] else value
            else:
                nodes[target] = total + value
        output = nodes[-1]
        return self._zeros(x) if output is None else output

    def _bias(self, layer: nn.Module, x: Tensor) -> Tensor:
        return cast(ReLUConvBN, layer).of_zeros(self._zeros(x))

    def _zeros(self, x: Tensor) -> Tensor:
        """Where nothing else leads back to `x`, a product does, so that every gradient behind it is zero, not None."""
        return x.mul(0.0) if self.is_cut_off else torch.zeros_like(x)

    def prune(self) -> list[tuple[nn.Module, str]]:
        """Execute what the output needs; return the owner and name of each parameter that is executed no more."""
        self.roles = self.pruned_roles
        idle: list[tuple[nn.Module, str]] = []
        for layer, role in zip(self.layers, self.roles, strict=True):
            if role is EdgeRole.DEAD:
                idle += [(m, name) for m in layer.modules() for name, _ in m.named_parameters(recurse=False)]
            elif role is EdgeRole.BIAS:
                idle.append((cast(ReLUConvBN, layer).op[1], "weight"))
        return idle


def _plus_zero(x: Tensor) -> Tensor:
    """`x`, as a new step of the backward pass where the published network adds zeros to it.

    Where a skip connection makes two nodes one tensor, that step decides in which order its gradients are added, and
    so their last bit.
    """
    return x.view_as(x)


class NASBench201Network(nn.Module):
    """Images `[B, 3, H, W]` to logits `[B, num_classes]`."""

    def __init__(self, cell: Cell, num_classes: int, stem_channels: int, cells_per_stage: int) -> None:
        super().__init__()
        channels = stem_channels
        self.stem = nn.Sequential(nn.Conv2d(3, channels, 3, padding=1, bias=False), nn.BatchNorm2d(channels))
        self.cells = nn.ModuleList()
        for stage in range(NUM_STAGES):
            if stage:
                self.cells.append(ResidualReduction(channels, 2 * channels))
                channels *= 2
            self.cells.extend(InferCell(cell, channels) for _ in range(cells_per_stage))
        self.lastact = nn.Sequential(nn.BatchNorm2d(channels), nn.ReLU(inplace=True))
        self.global_pooling = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Linear(channels, num_classes)
        self._idle: list[tuple[nn.Module, str]] = []  # by owner and name: loading may put another tensor in the place

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.classifier(self.features(x))
        return with_zero_gradients(logits, self.idle_parameters())

    def features(self, x: Tensor) -> Tensor:
        """What the classifier reads, `[B, 4 * stem_channels]`.

        Raises:
            NetworkError: for images of another shape.
        """
        if x.dim() != 4 or x.shape[1] != 3 or x.shape[2] % SIDE_UNIT or x.shape[3] % SIDE_UNIT:
            raise NetworkError(
                f"A NAS-Bench-201 network reads images [B, 3, H, W] with H and W divisible by {SIDE_UNIT}, "
                f"not {list(x.shape)}; repeat a single channel, resize or pad."
            )
        x = self.stem(x)
        for block in self.cells:
            x = block(x)
        return cast(Tensor, self.global_pooling(self.lastact(x))).flatten(1)

    def prune_dead_edges(self) -> "NASBench201Network":
        """Stop executing what cannot change the output: same logits, same gradients, less work.

        Every module stays in its place. Parameters that are executed no more get the gradients of exactly zero that the
        published network gives them, so optimizers and feature maps see no difference and training loops need not know.
        Only the running statistics of BatchNorms that cannot reach the output differ: they are not updated. (A network
        whose activations overflow has diverged; there 0 · ∞ is no zero, and pruning is not exact.)
        """
        self._idle = [place for block in self.cells if isinstance(block, InferCell) for place in block.prune()]
        return self

    def idle_parameters(self) -> list[Tensor]:
        """The parameters that a pruned network does not execute; empty before pruning."""
        return [getattr(module, name) for module, name in self._idle]


def build(
    arch_str: str, num_classes: int = 10, stem_channels: int = 16, cells_per_stage: int = 5
) -> NASBench201Network:
    """The network of an arch string, initialised by torch's defaults from its current random state.

    Weights are drawn for every edge, before any pruning.

    Raises:
        ArchStringError: if the string cannot be read.
        NetworkError: if a size is no whole number, or below 1.
    """
    sizes = {"num_classes": num_classes, "stem_channels": stem_channels, "cells_per_stage": cells_per_stage}
    for name, value in sizes.items():
        if not isinstance(value, int) or value < 1:
            raise NetworkError(f"A NAS-Bench-201 network cannot have {name}={value!r}; use a whole number from 1 on.")
    return NASBench201Network(Cell.parse(arch_str), **sizes)
