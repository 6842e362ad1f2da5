"""Central moments of many sorted rows in float64, and those of whole layers merged from those of their units.

Everything is counted from a middle value of the row, which removes a common offset exactly; moments are then taken
about the mean. float32 fourth moments would underflow, raw ones cancel, and merging in float32 loses three digits.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from nap2.snapshots.sorting import is_present

CHUNK = 1 << 16  # values per piece on a CPU: float64 copies of one piece stay in the second-level cache


class Moments(NamedTuple):
    """What sources (units, or whole layers) amount to; float64, all of one shape."""

    size: Tensor  # number of finite values
    middle: Tensor  # a value from the middle of the source
    mean: Tensor  # counted from `middle`
    second: Tensor  # central moments: sums divided by `size`
    third: Tensor
    fourth: Tensor
    l1_norm: Tensor


def row_moments(rows: Tensor, middle: Tensor, sizes: Tensor | None) -> Tensor:
    """The fields of `Moments`, float64 `[7, R]`, of each row.

    Args:
        rows: `[R, d]`, sorted, finite values first; float32, or float64 scaled to about 1.
        middle: float64 `[R]`, a value from the middle of each row.
        sizes: int64 `[R]`, finite values of each row, or None if all are.
    """
    step = max(1, CHUNK // rows.shape[1]) if rows.device.type == "cpu" else len(rows)
    result = middle.new_empty(len(Moments._fields), len(rows))
    result[0] = rows.shape[1] if sizes is None else sizes
    result[1] = middle
    for start in range(0, len(rows), step):
        piece = slice(start, start + step)
        if sizes is None:
            _whole_moments(rows[piece], middle[piece], result[2:, piece])
        else:
            _partial_moments(rows[piece], middle[piece], sizes[piece], result[2:, piece])
    return result


def merged(units: Moments, middle: Tensor) -> Moments:
    """Moments `[L]` of layers, counted from their own `middle`, from those of units `[L, U]` (size 0: padding)."""
    size = units.size.sum(dim=1)
    share = units.size / size.clamp(min=1)[:, None]
    unit_mean = (units.middle - middle[:, None]) + units.mean
    mean = (share * unit_mean).sum(dim=1)
    offset = unit_mean - mean[:, None]
    offset2 = offset * offset
    second = units.second + offset2
    third = units.third + offset * (3 * units.second + offset2)
    fourth = units.fourth + 4 * offset * units.third + offset2 * (6 * units.second + offset2)
    central = ((share * moment).sum(dim=1) for moment in (second, third, fourth))
    return Moments._make((size, middle, mean, *central, units.l1_norm.sum(dim=1)))


def _whole_moments(rows: Tensor, middle: Tensor, out: Tensor) -> None:
    """Fill `[5, R]`: mean (counted from the middle), second to fourth central moment, L1 norm."""
    values = rows.double()
    mean, second, third, fourth, l1_norm = out
    torch.sum(values.abs(), dim=1, out=l1_norm)
    values = values - middle[:, None]
    torch.mean(values, dim=1, out=mean)
    values -= mean[:, None]
    squares = values * values
    torch.mean(squares, dim=1, out=second)
    torch.mean(values.mul_(squares), dim=1, out=third)
    torch.mean(squares.mul_(squares), dim=1, out=fourth)


def _partial_moments(rows: Tensor, middle: Tensor, sizes: Tensor, out: Tensor) -> None:
    """The same where values behind the first `sizes` of each row do not count."""
    present = is_present(rows, sizes)
    num = sizes.clamp(min=1)
    values = rows.double().masked_fill(~present, 0.0)
    mean, second, third, fourth, l1_norm = out
    l1_norm.copy_(values.abs().sum(dim=1))
    values = (values - middle[:, None]).mul_(present)
    mean.copy_(values.sum(dim=1) / num)
    values = (values - mean[:, None]).mul_(present)
    for power, moment in ((2, second), (3, third), (4, fourth)):
        moment.copy_(values.pow(power).sum(dim=1) / num)
