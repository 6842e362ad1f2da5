"""Central moments of many sorted rows in float64, and those of a whole layer merged from those of its units.

Everything is counted from a middle value of the row, which removes a common offset exactly; moments are then taken
about the mean. float32 fourth moments would underflow, raw ones cancel, and merging in float32 loses three digits.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from nap2.snapshots.sorting import is_present, quantiles_and_middle

CHUNK = 1 << 15  # values per piece on a CPU: float64 copies of one piece stay in the second-level cache


class Summary(NamedTuple):
    """What sources (units, or whole layers) amount to; float64 tensors of one shape, but quantiles end in `[5]`."""

    size: Tensor  # number of finite values
    middle: Tensor  # a value from the middle of the source
    mean: Tensor  # counted from `middle`
    moment2: Tensor  # central moments: sums divided by `size`
    moment3: Tensor
    moment4: Tensor
    l1_norm: Tensor
    quantiles: Tensor


def summaries(rows: Tensor, sizes: Tensor | None, num_layers: int) -> Summary:
    """Summarise each row.

    Args:
        rows: `[K * U, d]`, sorted, see `sort_finite`.
        sizes: int64 `[K * U]`, finite values of each row, or None if all are.
        num_layers: K.

    Returns:
        A summary of shape `[K, U]`.
    """
    quantiles, middle = quantiles_and_middle(rows, sizes)
    step = max(1, CHUNK // rows.shape[1]) if rows.device.type == "cpu" else len(rows)
    pieces = []
    for start in range(0, len(rows), step):
        piece = slice(start, start + step)
        pieces.append(_moments(rows[piece], middle[piece], None if sizes is None else sizes[piece]))
    size = torch.full_like(middle, rows.shape[1]) if sizes is None else sizes.double()
    parts = (size, middle, *torch.cat(pieces, dim=1), quantiles)
    return Summary._make(part.unflatten(0, (num_layers, -1)) for part in parts)


def merged(units: Summary, middle: Tensor, quantiles: Tensor) -> Summary:
    """The summary `[K]` of layers from that of their units `[K, U]` and their own middle `[K]`, quantiles `[K, 5]`."""
    size = units.size.sum(dim=1)
    share = units.size / size.clamp(min=1)[:, None]
    unit_mean = (units.middle - middle[:, None]) + units.mean
    mean = (share * unit_mean).sum(dim=1)
    offset = unit_mean - mean[:, None]
    offset2 = offset * offset
    moment2, moment3 = units.moment2, units.moment3
    central = (
        moment2 + offset2,
        moment3 + offset * (3 * moment2 + offset2),
        units.moment4 + 4 * offset * moment3 + offset2 * (6 * moment2 + offset2),
    )
    moments = ((share * moment).sum(dim=1) for moment in central)
    return Summary._make((size, middle, mean, *moments, units.l1_norm.sum(dim=1), quantiles))


def _moments(rows: Tensor, middle: Tensor, sizes: Tensor | None) -> Tensor:
    """float64 `[5, R]`: mean (counted from the middle), second to fourth central moment, L1 norm."""
    values = rows.double()
    present = None if sizes is None else is_present(rows, sizes)
    num = torch.full_like(middle, rows.shape[1]) if sizes is None else sizes.clamp(min=1).double()
    if present is not None:
        values = values.masked_fill(~present, 0)
    l1_norm = values.abs().sum(dim=1)
    values = values - middle[:, None]
    if present is not None:
        values *= present
    mean = values.sum(dim=1) / num
    values -= mean[:, None]
    if present is not None:
        values *= present
    squares = values * values
    moment2 = squares.sum(dim=1) / num
    moment3 = values.mul_(squares).sum(dim=1) / num
    moment4 = squares.mul_(squares).sum(dim=1) / num
    return torch.stack([mean, moment2, moment3, moment4, l1_norm])
