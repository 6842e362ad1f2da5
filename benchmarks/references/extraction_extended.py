"""Skewness and kurtosis in extended precision (64-bit mantissas on x86), against which float64 errors can be read."""

import numpy as np


def skewness_and_kurtosis(rows: np.ndarray) -> np.ndarray:
    """float64 `[2, 1 + units]` of `[units, d]`: of all values together, then of each unit."""
    rows = rows.astype(np.longdouble)
    sources = [rows.ravel(), *rows]
    return np.array([[_standard_moment(x, 3), _standard_moment(x, 4) - 3] for x in sources], dtype=np.float64).T


def _standard_moment(x: np.ndarray, order: int) -> np.longdouble:
    centred = x - x.mean()
    variance = (centred**2).mean()
    return (
        (centred**order).mean() / variance ** np.longdouble(order / 2)
        if variance > 0
        else np.longdouble(order == 4) * 3
    )
