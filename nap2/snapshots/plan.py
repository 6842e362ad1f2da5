"""Where everything goes when layers are summarised together: fixed by their shapes, so worked out once."""

from collections import defaultdict
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import torch
from torch import Tensor

from nap2.schema import QUANTILES, SCALAR_STATISTICS
from nap2.snapshots.layout import num_quantile_places, num_scalar_places

Kind = tuple[torch.device, torch.dtype, int, int]  # device, dtype, units, values per unit


class Plan(NamedTuple):
    """Sources are numbered: first the units of all layers, block by block, then the layers in the same order.

    Attributes:
        blocks: layers (as numbered by the caller) of one kind each, which are stacked.
        unit_index: int64 `[L, U]`: the units of each layer in the order of the blocks, padded with the number of units.
        entry_index: int64 `[N]`: each entry of the flat vector, in the caller's order of layers, among the scalar
            statistics `[11, S]` flattened, followed by the quantiles `[S, 5]` flattened.
        layer_index: int64 `[L]`: the place in the order of the blocks of each of the caller's layers.
        source_layer: int64 `[S]`: the layer, in the order of the blocks, to which each source belongs.
        num_values: int64 `[L]`, values of each layer, in the order of the blocks.
    """

    blocks: tuple[tuple[int, ...], ...]
    unit_index: Tensor
    entry_index: Tensor
    layer_index: Tensor
    source_layer: Tensor
    num_values: Tensor


@lru_cache(maxsize=64)
def plan(kinds: tuple[Kind, ...]) -> Plan:
    """Group layers of these kinds; the index tensors lie on the device of the first."""
    layers_by_kind: dict[Kind, list[int]] = defaultdict(list)
    for layer, kind in enumerate(kinds):
        layers_by_kind[kind].append(layer)
    blocks = tuple(tuple(layers) for layers in layers_by_kind.values())
    order = [layer for layers in blocks for layer in layers]
    units = [kinds[layer][2] for layer in order]
    layers = torch.arange(len(order))
    layer_index = torch.tensor(order).argsort()
    tensors = (
        _unit_index(units),
        _entry_index(units, layer_index),
        layer_index,
        torch.cat([layers.repeat_interleave(torch.tensor(units)), layers]),
        torch.tensor([kinds[layer][2] * kinds[layer][3] for layer in order]),
    )
    return Plan(blocks, *(tensor.to(kinds[0][0]) for tensor in tensors))


def _unit_index(units: Sequence[int]) -> Tensor:
    index = torch.full((len(units), max(units)), sum(units))
    start = 0
    for place, layer_units in enumerate(units):
        index[place, :layer_units] = torch.arange(start, start + layer_units)
        start += layer_units
    return index


def _entry_index(units: Sequence[int], layer_index: Tensor) -> Tensor:
    num_units, num_sources = sum(units), sum(units) + len(units)
    first_unit = torch.tensor([0, *units]).cumsum(0)
    statistics = torch.arange(len(SCALAR_STATISTICS))[:, None] * num_sources
    quantiles = len(SCALAR_STATISTICS) * num_sources + torch.arange(len(QUANTILES))
    parts = []
    for place in layer_index.tolist():
        sources = torch.cat([torch.tensor([num_units + place]), first_unit[place] + torch.arange(units[place])])
        parts.append((statistics + sources[: num_scalar_places(units[place])]).flatten())
        quantile_sources = sources[: num_quantile_places(units[place]) // len(QUANTILES)]
        parts.append((quantile_sources[:, None] * len(QUANTILES) + quantiles).flatten())
    return torch.cat(parts)
