"""The ragged map: how the statistics of a network's layers lie behind one another in one flat vector.

A layer of `u` units fills, of its dense `[V, F]` rows, only 1 + min(u, 99) places of the 11 scalar statistics and
5 * (1 + min(u, 19)) places of the quantile channel. The flat vector holds just these, layer after layer; within a layer
the scalar statistics come one after another, each `[global, unit 1, unit 2, …]`, then the quantile quintuples
`[global, unit 1, …]`. `dense.flatten()[dense_index(units)] == flat` for a dense `[L, V, F]` map.
"""

from collections.abc import Sequence
from functools import lru_cache

import torch
from torch import Tensor

from nap2.schema import (
    MAX_VALUES,
    NUM_STATISTICS,
    QUANTILE_UNITS,
    QUANTILES,
    SAMPLED_UNITS,
    SCALAR_STATISTICS,
)

CACHED = 64
"""Networks whose places are kept, at 0.6 MB for the largest: few shapes follow one another, and a search over
thousands of shapes must not fill the memory."""


def num_scalar_places(units: int) -> int:
    """Places of one scalar statistic: the global value and one per sampled unit."""
    return 1 + min(units, SAMPLED_UNITS)


def num_quantile_places(units: int) -> int:
    """Places of the quantile channel: the global quintuple and those of the first 19 sampled units."""
    return len(QUANTILES) * (1 + min(units, QUANTILE_UNITS))


def num_entries(units: Sequence[int]) -> int:
    """`N`, the length of the flat vector of a network whose recorded layers have these many units."""
    return sum(len(SCALAR_STATISTICS) * num_scalar_places(u) + num_quantile_places(u) for u in units)


@lru_cache(maxsize=CACHED)
def dense_index(units: tuple[int, ...]) -> Tensor:
    """int64 `[N]`: where each flat entry lies in the flattened dense `[L, V, F]` map. Do not modify: it is cached."""
    parts = []
    for layer, layer_units in enumerate(units):
        row = layer * MAX_VALUES * NUM_STATISTICS
        places = torch.arange(num_scalar_places(layer_units), device="cpu") * NUM_STATISTICS
        for statistic in range(len(SCALAR_STATISTICS)):
            parts.append(row + places + statistic)
        quantile_places = torch.arange(num_quantile_places(layer_units), device="cpu") * NUM_STATISTICS
        parts.append(row + quantile_places + NUM_STATISTICS - 1)
    return torch.cat(parts) if parts else torch.empty(0, dtype=torch.int64, device="cpu")
