"""Where everything goes when layers are summarised together: fixed by their shapes, so worked out once."""

from collections import defaultdict
from functools import lru_cache
from typing import NamedTuple

import torch
from torch import Tensor

from nap2.schema import MAX_VALUES, QUANTILES, SCALAR_STATISTICS

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
    order = torch.tensor([layer for layers in blocks for layer in layers])
    layer_index = order.argsort()
    units = torch.tensor([kind[2] for kind in kinds])[order]
    sizes = torch.tensor([kind[3] for kind in kinds])[order]
    layers = torch.arange(len(order))
    tensors = (
        _unit_index(units),
        _entry_index(units, layer_index),
        layer_index,
        torch.cat([layers.repeat_interleave(units), layers]),
        units * sizes,
    )
    return Plan(blocks, *(tensor.to(kinds[0][0]) for tensor in tensors))


def _unit_index(units: Tensor) -> Tensor:
    places = torch.arange(int(units.max()))
    return torch.where(places < units[:, None], _first_unit(units)[:, None] + places, units.sum())


def _entry_index(units: Tensor, layer_index: Tensor) -> Tensor:
    """All places `[L, F, V]` of dense maps are numbered; those that are not padding are kept, in that order."""
    num_units, num_sources = units.sum(), units.sum() + len(units)
    places = torch.arange(MAX_VALUES)
    sources = torch.where(
        places == 0, num_units + torch.arange(len(units))[:, None], _first_unit(units)[:, None] + places - 1
    )
    num_scalars, num_quantiles = len(SCALAR_STATISTICS), len(QUANTILES)
    scalar_entries = torch.arange(num_scalars)[:, None] * num_sources + sources[:, None]  # [L, 11, V]
    quantile_entries = (
        num_scalars * num_sources + sources[:, places // num_quantiles] * num_quantiles + places % num_quantiles
    )
    entries = torch.cat([scalar_entries, quantile_entries[:, None]], dim=1)  # [L, F, V]
    limits = torch.stack([1 + units] * num_scalars + [num_quantiles * (1 + units)], dim=1)
    return entries[layer_index][places < limits[layer_index][..., None]]


def _first_unit(units: Tensor) -> Tensor:
    return units.cumsum(0) - units
