"""A picture: the rank that a method gives each test candidate against the rank that it deserves."""

from pathlib import Path

import numpy as np
from scipy.stats import rankdata

from nap2.errors import EvaluationError
from nap2.evaluation.judging.exam import Floats
from nap2.evaluation.plots.drawing import COLOURS, FAINT, INK, canvas, finish_axes, save

BEST = 0.1
"""The share of candidates that counts as the best."""


def rank_plot(predicted: Floats, truth: Floats, path: Path | str, title: str = "") -> Path:
    """Draw one point per candidate; rank 1 is the best. The best tenth by accuracy stands out.

    Args:
        predicted: float64 `[trials, A]`; each trial is ranked by itself, and the ranks are averaged. A candidate that
            no trial could score (NaN) is left out.
        truth: float64 `[A]`, final accuracies.
        path: `.png`, `.pdf` or `.svg`.
        title: above the picture.

    Raises:
        EvaluationError: no candidate was scored.
    """
    scored = np.isfinite(predicted).any(axis=0)
    if not scored.any():
        raise EvaluationError(
            "No test candidate was scored, so there is no rank to draw; give predictions that are not all NaN."
        )
    given = np.nanmean(rankdata(-predicted[:, scored], axis=1, nan_policy="omit"), axis=0)
    deserved = rankdata(-truth[scored])
    num = deserved.size
    best = deserved <= max(1.0, np.ceil(BEST * num))
    figure, axes = canvas(title)
    axes.plot([1, num], [1, num], color=FAINT, linewidth=1, linestyle=(0, (4, 4)), zorder=1)
    axes.scatter(deserved[~best], given[~best], s=22, color=COLOURS[0], alpha=0.55, linewidth=0, zorder=3)
    axes.scatter(deserved[best], given[best], s=30, color=COLOURS[1], linewidth=0, zorder=4)
    axes.axhline(best.sum() + 0.5, color=COLOURS[1], linewidth=0.9, alpha=0.6, zorder=2)
    found = int((given[best] <= best.sum()).sum())
    axes.annotate(
        f"{found} of the best {best.sum()} are ranked among the first {best.sum()}",
        (num, best.sum() + 0.5),
        xytext=(0, -4),
        textcoords="offset points",
        ha="left",
        va="top",
        color=INK,
        fontsize=9,
    )
    finish_axes(axes, "rank by final accuracy (1: the best)", "rank by prediction")
    axes.set_xlim(num + 0.02 * num, 1 - 0.02 * num)
    axes.set_ylim(num + 0.02 * num, 1 - 0.03 * num)
    return save(figure, path)
