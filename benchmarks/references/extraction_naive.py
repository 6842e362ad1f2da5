"""Statistics as one would first write them: unit by unit and one by one, NaN-aware NumPy and SciPy in float64."""

import numpy as np
from scipy import stats
from torch import nn

from nap2.schema import MAP_SHAPE
from nap2.snapshots.layers import gradient_rows, recorded_layers, sampled_rows

QUANTILE_UNITS = 19


def scalar_statistics(x: np.ndarray) -> tuple[float, ...]:
    return (
        np.nanmean(x),
        np.nanmedian(x),
        np.nanvar(x),
        np.nanstd(x),
        np.nanmin(x),
        np.nanmax(x),
        stats.skew(x, nan_policy="omit"),
        stats.kurtosis(x, nan_policy="omit"),
        np.nanvar(x, ddof=1),
        np.nansum(np.abs(x)),
        np.sqrt(np.nansum(x**2)),
    )


def naive_map(layers: list[np.ndarray]) -> np.ndarray:
    """float64 `[65, 100, 12]` of a list of `[units, d]` arrays."""
    result = np.zeros(MAP_SHAPE)
    for row, rows in enumerate(layers):
        for place, source in enumerate([rows.ravel(), *rows]):
            result[row, place, :11] = scalar_statistics(source)
            if place <= QUANTILE_UNITS:
                result[row, 5 * place : 5 * place + 5, 11] = np.nanpercentile(source, [0, 25, 50, 75, 100])
    return result


def naive_snapshot(model: nn.Module) -> tuple[np.ndarray, np.ndarray]:
    """Maps of weights and gradients, read the same way as the recorder reads them."""
    layers = recorded_layers(model)
    weights = [sampled_rows(layer.weight).double().cpu().numpy() for layer in layers]
    gradients = [gradient_rows(layer).double().cpu().numpy() for layer in layers]
    return naive_map(weights), naive_map(gradients)
