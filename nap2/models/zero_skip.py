"""Leave out the zeros of a feature map: exact, because what is left out is multiplied by zero.

A layer of 16 units fills 272 of the 1,200 places of its row, and a network of 40 layers leaves 25 rows empty.
`CompactRows` holds the rows of a batch of maps without these places, grouped by the number of units, so that the first
layer of the encoder (four fifths of its arithmetic) becomes one small product per group.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from nap2.schema import MAX_LAYERS, MAX_VALUES, NUM_STATISTICS, SAMPLED_UNITS, SCALAR_STATISTICS
from nap2.snapshots.layout import dense_index, num_entries

ROW_SIZE = MAX_VALUES * NUM_STATISTICS
WIDTHS = (16, 32, 64, SAMPLED_UNITS)
"""Units by which the rows of a dense map are grouped: those of the published networks, and "all places"."""
SAMPLE_EVERY, WORTH_COMPACTING = 7, 0.7  # rows looked at; filled share above which one large product is faster


@dataclass(frozen=True)
class Group:
    """Rows of one width.

    Attributes:
        rows: int64 `[R]`, where they lie among `B * 65`.
        places: int64 `[N]`, which of the 1,200 places of a row are kept.
        values: `[R, N]`, their log-normalised statistics at these places.
    """

    rows: Tensor
    places: Tensor
    values: Tensor


@dataclass(frozen=True)
class CompactRows:
    """The rows of `num_maps` maps that are not zero throughout, in groups of one width."""

    num_maps: int
    groups: tuple[Group, ...]


@lru_cache(maxsize=512)
def filled_places(units: int, device: torch.device) -> Tensor:
    """int64 `[N]`: which places of a row a layer of this many units fills, in the order of `nap2.snapshots.layout`."""
    return dense_index((units,)).to(device)


def has_many_zeros(rows: Tensor) -> bool:
    """Whether leaving out zeros pays, judged by a few of the `[B * 65, 1200]` rows; the result is the same."""
    return float((rows[::SAMPLE_EVERY] != 0).float().mean()) < WORTH_COMPACTING


def compact_dense(rows: Tensor) -> CompactRows:
    """Find the zeros of `[B * 65, 1200]` rows (statistics innermost) and leave them out; NaN is not zero."""
    filled = (rows != 0).view(-1, MAX_VALUES, NUM_STATISTICS)
    # Four booleans at a time: a reduction over single ones takes longer than the product that it saves.
    is_scalar = (torch.arange(NUM_STATISTICS, device=rows.device) < len(SCALAR_STATISTICS)).view(torch.int32)
    scalar_widths = _last((filled.view(torch.int32) & is_scalar).amax(2) > 0)  # [R]
    quantile_widths = _last(filled[:, :, -1])
    group_of_row = torch.full_like(scalar_widths, len(WIDTHS))
    for index in range(len(WIDTHS) - 1, -1, -1):
        scalars, quantiles = _places(WIDTHS[index])
        group_of_row[(scalar_widths <= scalars) & (quantile_widths <= quantiles)] = index
    group_of_row[(scalar_widths == 0) & (quantile_widths == 0)] = -1
    groups = []
    for index, units in enumerate(WIDTHS):
        chosen = (group_of_row == index).nonzero().squeeze(1)
        if len(chosen):
            values = rows.index_select(0, chosen)
            if units == SAMPLED_UNITS:
                groups.append(Group(chosen, torch.arange(ROW_SIZE, device=rows.device), values))
            else:
                places = filled_places(units, rows.device)
                groups.append(Group(chosen, places, values.index_select(1, places)))
    return CompactRows(len(rows) // MAX_LAYERS, tuple(groups))


def compact_ragged(maps: Sequence[tuple[Tensor, Sequence[int]]]) -> CompactRows:
    """Join ragged maps.

    Args:
        maps: for each network, log-normalised values `[T, N]` of one modality and the units of its recorded layers.

    Returns:
        The rows of all maps, network after network.
    """
    parts: dict[int, list[tuple[Tensor, Tensor]]] = defaultdict(list)
    num_maps = 0
    for values, units in maps:
        first_row = (num_maps + torch.arange(len(values), device=values.device)) * MAX_LAYERS  # [T]
        for layer, num_layers, width, start, stop in _runs(tuple(min(u, SAMPLED_UNITS) for u in units)):
            layers = torch.arange(layer, layer + num_layers, device=values.device)
            rows = (first_row[:, None] + layers).flatten()
            parts[width].append((rows, values[:, start:stop].reshape(len(rows), -1)))
        num_maps += len(values)
    groups = []
    for width, joined in parts.items():
        rows, values = (torch.cat(tensors) for tensors in zip(*joined, strict=True))
        groups.append(Group(rows, filled_places(width, rows.device), values))
    return CompactRows(num_maps, tuple(groups))


def compact_linear(compact: CompactRows, weight: Tensor, bias: Tensor) -> Tensor:
    """`functional.linear` of the dense rows, without the products by zero; differentiable in weight and bias.

    Args:
        compact: rows of B maps.
        weight: `[out, 1200]`.
        bias: `[out]`.

    Returns:
        `[B * 65, out]`; a row of zeros gives the bias.
    """
    result: Tensor = _CompactLinear.apply(weight, bias, compact)  # type: ignore[no-untyped-call]  # torch's own
    return result


class _CompactLinear(torch.autograd.Function):
    """Gradients for weight and bias only: a map is data."""

    @staticmethod
    def forward(ctx: Any, weight: Tensor, bias: Tensor, compact: CompactRows) -> Tensor:
        ctx.compact, ctx.weight_shape = compact, weight.shape
        output = bias.repeat(compact.num_maps * MAX_LAYERS, 1)
        for group in compact.groups:
            part = weight.index_select(1, group.places)
            output.index_copy_(0, group.rows, torch.addmm(bias, group.values, part.t()))
        return output

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        weight_gradient = gradient.new_zeros(ctx.weight_shape)
        for group in ctx.compact.groups:
            part = gradient.index_select(0, group.rows).t() @ group.values
            weight_gradient.index_add_(1, group.places, part)
        return weight_gradient, gradient.sum(0), None


@lru_cache(maxsize=4096)
def _runs(units: tuple[int, ...]) -> tuple[tuple[int, int, int, int, int], ...]:
    """Neighbouring layers of equal width: (first layer, layers, units, start, stop) in the flat vector."""
    runs, layer, start = [], 0, 0
    while layer < len(units):
        last = layer
        while last < len(units) and units[last] == units[layer]:
            last += 1
        stop = start + num_entries(units[layer:last])
        runs.append((layer, last - layer, units[layer], start, stop))
        layer, start = last, stop
    return tuple(runs)


def _last(filled: Tensor) -> Tensor:
    """One more than the last true place of each row of `[R, V]`; 0 where there is none."""
    places = torch.arange(1, filled.shape[1] + 1, dtype=torch.uint8, device=filled.device)
    return (filled * places).amax(1)


def _places(units: int) -> tuple[int, int]:
    index = dense_index((units,))
    num_quantiles = int((index % NUM_STATISTICS == len(SCALAR_STATISTICS)).sum())
    return (len(index) - num_quantiles) // len(SCALAR_STATISTICS), num_quantiles
