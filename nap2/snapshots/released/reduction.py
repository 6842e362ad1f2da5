"""Which statistics of a ragged map follow from the others, and how they come back.

    std = √variance     covariance = variance · d / (d − 1)     L2 = √(d · (variance + mean²))
    0, 50 and 100 % quantile = minimum, median, maximum

d is the number of values of a unit (the fan-in of its layer), or of all sampled units for the global value. The store
does not keep it, but its statistics tell: d = L2² / (variance + mean²). Where values were left out (not finite), where
a statistic saturated, or where a square fell below float32's normal range, the relations do not hold; so each candidate
is derived again before anything is dropped, and kept whole unless every number comes back.
"""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from nap2.schema import QUANTILES, SAMPLED_UNITS, SCALAR_STATISTICS
from nap2.snapshots.layout import num_quantile_places, num_scalar_places
from nap2.snapshots.released.planes import Floats

KEPT_SCALARS = ("mean", "median", "variance", "minimum", "maximum", "skewness", "kurtosis", "l1_norm")
KEPT_QUANTILES = {"quantile_25": 1, "quantile_75": 3}
KEPT = (*KEPT_SCALARS, *KEPT_QUANTILES)

_RELATIVE, _SMALLEST = 1e-6, float(np.finfo(np.float32).tiny)
"""Derivation from unrounded float32 numbers must agree this well; an exact zero must come back as zero."""

Places = np.ndarray[Any, np.dtype[np.int64]]


class Layout(NamedTuple):
    """Where the statistics of `S` sources (layers, then within each: global, unit 1, …) lie in a flat map `[N]`.

    Attributes:
        scalars: int64 `[11, S]`, in the order of `SCALAR_STATISTICS`.
        quantiles: int64 `[Q, 5]`; only the global value and the first 19 units of a layer have quantiles.
        source_of_quantiles: int64 `[Q]`, which sources these are.
        layer: int64 `[S]`, the layer of each source.
        units: int64 `[S]`, how many units a source covers: 1, or all sampled ones.
    """

    scalars: Places
    quantiles: Places
    source_of_quantiles: Places
    layer: Places
    units: Places


def reduced(values: Floats, units: tuple[int, ...]) -> tuple[dict[str, Floats], tuple[int, ...]] | None:
    """Keep what the rest follows from.

    Args:
        values: float32 `[T, M, N]`.
        units: output units of each layer.

    Returns:
        The statistics named in `KEPT`, `[T, M, S]` or `[T, M, Q]`, and the fan-in of each layer (1 where every value is
        0); None if the dropped ones would not come back.
    """
    layout = layout_of(units)
    kept = {name: values[..., layout.scalars[SCALAR_STATISTICS.index(name)]] for name in KEPT_SCALARS}
    kept |= {name: values[..., layout.quantiles[:, place]] for name, place in KEPT_QUANTILES.items()}
    fan_in = _fan_in(values, layout, len(units))
    with np.errstate(all="ignore"):  # what overflows does not come back, which is what is asked here
        again = restored(kept, units, fan_in)
    is_close = np.abs(again.astype(np.float64) - values) <= _RELATIVE * np.abs(values)
    return (kept, fan_in) if is_close.all() and not _is_subnormal(values) else None


def restored(kept: Mapping[str, Floats], units: tuple[int, ...], fan_in: tuple[int, ...]) -> Floats:
    """The whole map `[T, M, N]` from what `reduced` returned (rounded meanwhile or not)."""
    layout = layout_of(units)
    sizes = np.asarray(fan_in, dtype=np.float64)[layout.layer] * layout.units  # [S]
    mean, variance = kept["mean"].astype(np.float64), kept["variance"].astype(np.float64)
    scalars: dict[str, Any] = {name: kept[name] for name in KEPT_SCALARS}
    scalars["std"] = np.sqrt(variance)
    scalars["covariance"] = variance * sizes / np.maximum(sizes - 1, 1)
    scalars["l2_norm"] = np.sqrt(sizes * (variance + mean * mean))
    values = np.empty((*kept["mean"].shape[:2], layout.scalars.size + layout.quantiles.size), dtype=np.float32)
    for place, name in enumerate(SCALAR_STATISTICS):
        values[..., layout.scalars[place]] = scalars[name]
    quintuple = ("minimum", "quantile_25", "median", "quantile_75", "maximum")
    for place, name in enumerate(quintuple):
        found = kept[name] if name in KEPT_QUANTILES else kept[name][..., layout.source_of_quantiles]
        values[..., layout.quantiles[:, place]] = found
    return values


@lru_cache(maxsize=256)
def layout_of(units: tuple[int, ...]) -> Layout:
    """The layout of a network; do not modify: it is cached."""
    scalars, quantiles, sources, layers, covered = [], [], [], [], []
    start = num_sources = 0
    for layer, layer_units in enumerate(units):
        count, places = num_scalar_places(layer_units), num_quantile_places(layer_units)
        after = start + len(SCALAR_STATISTICS) * count
        scalars.append(start + np.arange(len(SCALAR_STATISTICS) * count).reshape(-1, count))
        quantiles.append(after + np.arange(places).reshape(-1, len(QUANTILES)))
        sources.append(num_sources + np.arange(places // len(QUANTILES)))
        layers.append(np.full(count, layer))
        covered.append(np.r_[min(layer_units, SAMPLED_UNITS), np.ones(count - 1)])
        start, num_sources = after + places, num_sources + count
    lists: list[list[Any]] = [quantiles, sources, layers, covered]
    parts = [np.concatenate(scalars, axis=1), *(np.concatenate(arrays) for arrays in lists)]
    return Layout(*(part.astype(np.int64) for part in parts))


def _fan_in(values: Floats, layout: Layout, num_layers: int) -> tuple[int, ...]:
    """Median over snapshots, modalities and units of L2² / (variance + mean²), as whole numbers."""
    mean, variance, l2_norm = (
        values[..., layout.scalars[SCALAR_STATISTICS.index(name)]].astype(np.float64).reshape(-1, len(layout.layer))
        for name in ("mean", "variance", "l2_norm")
    )
    with np.errstate(all="ignore"):
        sizes = l2_norm**2 / (variance + mean * mean) / layout.units
    found = []
    for layer in range(num_layers):
        known = sizes[:, layout.layer == layer]
        known = known[np.isfinite(known)]
        found.append(max(1, round(float(np.median(known)))) if known.size else 1)
    return tuple(found)


def _is_subnormal(values: Floats) -> bool:
    """Whether rounding a mantissa would cost more than its share: numbers below the normal range have fewer bits."""
    sizes = np.abs(values)
    return bool(((sizes > 0) & (sizes < _SMALLEST)).any())
