"""Parameter counts in closed form."""

from nap2.spaces.nasbench101.cell import Cell
from nap2.spaces.nasbench101.channels import vertex_channels
from nap2.spaces.nasbench101.network import KERNEL, NUM_STAGES

BATCH_NORM = 2  # scale and shift per channel


def num_parameters(arch_str: str, num_classes: int = 10, stem_channels: int = 128, cells_per_stage: int = 3) -> int:
    """Trainable parameters of `build(arch_str, …)`: the published counts at the default size."""
    cell = Cell.parse(arch_str)
    width = channels = stem_channels
    total = _convolution(3, channels, 3)
    for stage in range(NUM_STAGES):
        width *= 2 if stage else 1
        for _ in range(cells_per_stage):
            total += _cell(cell, channels, width)
            channels = width
    return total + (channels + 1) * num_classes


def _cell(cell: Cell, in_channels: int, out_channels: int) -> int:
    channels = vertex_channels(cell, in_channels, out_channels)
    projections = sum(_convolution(in_channels, channels[vertex], 1) for vertex in cell.targets(0))
    convolutions = (
        _convolution(channels[vertex], channels[vertex], KERNEL[name])
        for vertex, name in enumerate(cell.operations, 1)
        if name in KERNEL
    )
    return projections + sum(convolutions)


def _convolution(in_channels: int, out_channels: int, kernel: int) -> int:
    return in_channels * out_channels * kernel**2 + BATCH_NORM * out_channels
