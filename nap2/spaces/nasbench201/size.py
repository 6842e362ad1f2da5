"""Parameter counts in closed form: what building 15,625 networks would tell."""

from nap2.spaces.nasbench201.cell import Cell
from nap2.spaces.nasbench201.network import NUM_STAGES

KERNEL_AREA = {"nor_conv_1x1": 1, "nor_conv_3x3": 9}
BATCH_NORM = 2  # scale and shift per channel


def num_parameters(arch_str: str, num_classes: int = 10, stem_channels: int = 16, cells_per_stage: int = 5) -> int:
    """Trainable parameters of `build(arch_str, …)`; convolutions that reach no output count, as published."""
    operations = Cell.parse(arch_str).operations
    channels = stem_channels
    total = 3 * 9 * channels + BATCH_NORM * channels
    for stage in range(NUM_STAGES):
        if stage:
            total += _reduction(channels)
            channels *= 2
        total += cells_per_stage * sum(
            _convolution(channels, channels, KERNEL_AREA.get(name, 0)) for name in operations
        )
    return total + BATCH_NORM * channels + (channels + 1) * num_classes


def _convolution(in_channels: int, out_channels: int, area: int) -> int:
    return in_channels * out_channels * area + BATCH_NORM * out_channels if area else 0


def _reduction(channels: int) -> int:
    wide = 2 * channels
    return _convolution(channels, wide, 9) + _convolution(wide, wide, 9) + channels * wide
