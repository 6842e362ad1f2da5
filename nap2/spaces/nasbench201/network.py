"""The network of a cell: stem, three stages of N cells with a residual reduction between them, head."""

from typing import Any

import torch
from torch import Tensor, nn

from nap2.errors import NetworkError
from nap2.spaces.nasbench201.cell import EDGES, NUM_NODES, Cell, reaches_output
from nap2.spaces.nasbench201.operations import ResidualReduction, build_operation

NUM_STAGES = 3


class InferCell(nn.Module):
    """One cell. Node 0 is its input; node j is the sum of its incoming edges; node 3 is its output."""

    def __init__(self, cell: Cell, channels: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(build_operation(name, channels) for name in cell.operations)
        self.reaches_output = reaches_output(cell)
        self.is_none = tuple(name == "none" for name in cell.operations)
        self.pruned = False

    def executed(self, edge: int) -> bool:
        """Whether an edge is executed: when pruned, only if it can change the output."""
        return not self.pruned or (not self.is_none[edge] and self.reaches_output[EDGES[edge][1]])

    def forward(self, x: Tensor) -> Tensor:
        nodes: list[Tensor | None] = [x]
        for target in range(1, NUM_NODES):
            total: Tensor | None = None
            for edge, (source, edge_target) in enumerate(EDGES):
                if edge_target != target or not self.executed(edge):
                    continue
                value = self.layers[edge](_value(nodes[source], x))
                total = value if total is None else total + value
            nodes.append(total)
        return _value(nodes[-1], x)


def _value(node: Tensor | None, x: Tensor) -> Tensor:
    """A node without executed edges is zero; made by a product, so that the gradients behind it are zeros too."""
    return x.mul(0.0) if node is None else node


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
        self._dead: list[nn.Parameter] = []

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        for block in self.cells:
            x = block(x)
        x = self.global_pooling(self.lastact(x)).flatten(1)
        logits: Tensor = self.classifier(x)
        if self._dead and torch.is_grad_enabled():
            logits = _WithZeroGradients.apply(logits, *self._dead)  # type: ignore[no-untyped-call]  # torch ships none
        return logits

    def prune_dead_edges(self) -> "NASBench201Network":
        """Stop executing edges that cannot change the output; same logits, same gradients, less work.

        The unpruned network multiplies such edges by 0, so their weights get gradients of exactly 0, which momentum and
        weight decay act on. Here they get the same zeros. Only running statistics of BatchNorms on such edges differ.
        """
        self._dead = []
        for block in self.cells:
            if isinstance(block, InferCell):
                block.pruned = True
                for edge, layer in enumerate(block.layers):
                    if not block.executed(edge):
                        self._dead += layer.parameters()
        return self


class _WithZeroGradients(torch.autograd.Function):
    """Passes a tensor on; gives some parameters that played no part in it a gradient of zeros."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, *parameters: Tensor) -> Tensor:
        ctx.save_for_backward(*parameters)
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, ...]:
        return gradients[0], *(torch.zeros_like(p) for p in ctx.saved_tensors)


def build(arch_str: str, num_classes: int = 10, stem_channels: int = 16, cells_per_stage: int = 5) -> nn.Module:
    """The network of an arch string, initialised by torch's defaults from its current random state.

    Raises:
        ArchStringError: if the string cannot be read.
        NetworkError: if a size is below 1.
    """
    for name, value in (
        ("num_classes", num_classes),
        ("stem_channels", stem_channels),
        ("cells_per_stage", cells_per_stage),
    ):
        if value < 1:
            raise NetworkError(f"A NAS-Bench-201 network cannot have {name}={value}; use at least 1.")
    return NASBench201Network(Cell.parse(arch_str), num_classes, stem_channels, cells_per_stage)
