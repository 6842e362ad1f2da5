"""The slow, obvious statistics: one source after another, one statistic after another, in extended precision.

`extended` moments carry 64-bit mantissas, so that the oracle's own rounding is out of the way of a 1e-10 comparison.
"""

import numpy as np

POWER_OF_SCALE = np.array([1, 1, 2, 1, 1, 1, 0, 0, 2, 1, 1] + [1] * 5)  # how each statistic grows with the values
SAMPLED_QUANTILE_UNITS = 19


def statistics_of(values):
    """float64 `[16]`: the eleven scalar statistics and the quintuple of one source."""
    x = np.asarray(values, dtype=np.longdouble).ravel()
    x = x[np.isfinite(x)]
    if x.size == 0:
        return np.zeros(16)
    mean = x.mean()
    variance = ((x - mean) ** 2).mean()
    constant = x.min() == x.max()
    skewness = 0.0 if constant else ((x - mean) ** 3).mean() / variance**1.5
    kurtosis = 0.0 if constant else ((x - mean) ** 4).mean() / variance**2 - 3
    covariance = ((x - mean) ** 2).sum() / (x.size - 1) if x.size > 1 else 0.0
    quantiles = [np.quantile(x, fraction) for fraction in (0, 0.25, 0.5, 0.75, 1)]
    scalars = [mean, np.median(x), 0.0 if constant else variance, 0.0 if constant else np.sqrt(variance)]
    scalars += [x.min(), x.max(), skewness, kurtosis, 0.0 if constant else covariance]
    scalars += [np.abs(x).sum(), np.sqrt((x * x).sum())]
    with np.errstate(over="ignore"):
        return np.array([*scalars, *quantiles]).astype(np.float64)


def flat_statistics(rows):
    """float64 `[n]`, a layer's part of the flat vector, and the scale (largest absolute value^power) of each entry."""
    rows = np.asarray(rows, dtype=np.float64)
    sources = [rows.ravel(), *rows]
    table = np.array([statistics_of(source) for source in sources])
    largest = np.array([np.abs(source[np.isfinite(source)]).max(initial=0.0) for source in sources])
    with np.errstate(over="ignore"):
        scale = largest[:, None] ** POWER_OF_SCALE
    return _flatten(table), _flatten(scale)


def _flatten(table):
    scalars = [table[:, statistic] for statistic in range(11)]
    return np.concatenate([*scalars, table[: 1 + SAMPLED_QUANTILE_UNITS, 11:].ravel()])
