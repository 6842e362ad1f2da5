"""A picture: rank correlation at one query budget, one row per method with its interval, the best on top."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib.lines import Line2D

from nap2.evaluation.judging.metrics import TAU
from nap2.evaluation.plots.drawing import COLOURS, FAINT, HEIGHT, INK, canvas, finish_axes, save
from nap2.evaluation.records.aggregate import Aggregate

_ROW = 0.22
"""Inches of a method's row."""
_OURS, _WATCHING, _UNTRAINED = COLOURS[0], COLOURS[4], COLOURS[7]


def method_plot(
    methods: Mapping[str, Aggregate], batches: int, path: Path | str, another_seed: float | None = None, title: str = ""
) -> Path:
    """Draw Kendall's τ of each method, from the best down, in the colour of what it looks at.

    Args:
        methods: by the name that is shown; at least one.
        batches: mini-batches that those which watch a training have seen; 0: none watches one.
        path: `.png`, `.pdf` or `.svg`.
        another_seed: what the final accuracies of another seed reach.
        title: above the picture.
    """
    rows = sorted(methods.items(), key=lambda item: item[1].mean or 0.0)
    figure, axes = canvas("", height=max(HEIGHT, 1.2 + _ROW * len(rows)))
    figure.suptitle(title, x=0.01, ha="left", color=INK, fontsize=12)  # the axes begin where the longest name ends
    axes.axvline(0.0, color=FAINT, linewidth=1.0, linestyle=(0, (1, 2)), zorder=1)
    if another_seed is not None:
        axes.axvline(another_seed, color=FAINT, linewidth=1.0, linestyle=(0, (4, 3)), zorder=1)
    for height, (_, found) in enumerate(rows):
        colour, tau, (low, high) = _colour(found), found.mean or 0.0, (found.row.low, found.row.high)
        if low is not None and high is not None:
            axes.plot([low, high], [height, height], color=colour, linewidth=1.4, alpha=0.55, zorder=2)
        axes.plot([tau], [height], color=colour, marker="o", markersize=5.0, linestyle="none", zorder=3)
    finish_axes(axes, f"{TAU.label} with its 95 % interval", "")
    axes.grid(axis="x", color="#e6e8eb", linewidth=0.8)
    axes.set_yticks(range(len(rows)), [name for name, _ in rows])
    axes.set_ylim(-0.8, len(rows) - 0.2)
    axes.legend(
        handles=_legend([found for _, found in rows], batches, another_seed),
        loc="upper left",  # where the best, on top, leave room
        facecolor="white",
        edgecolor="none",
        fontsize=9,
        labelcolor=INK,
    )
    return save(figure, path)


def _colour(found: Aggregate) -> str:
    if found.row.method.startswith("nap2"):
        return _OURS
    return _WATCHING if found.row.query_batches else _UNTRAINED


def _legend(shown: Sequence[Aggregate], batches: int, another_seed: float | None) -> list[Line2D]:
    """What the colours and lines mean, of those that are there."""
    meanings = {
        _OURS: "NAP2, NAP2+ and its parts",
        _WATCHING: f"sees {batches} mini-batches",
        _UNTRAINED: "sees no training",
    }
    there = {_colour(found) for found in shown}
    dots = [
        Line2D([], [], color=colour, marker="o", markersize=5.0, linestyle="none", label=meaning)
        for colour, meaning in meanings.items()
        if colour in there
    ]
    seed = [Line2D([], [], color=FAINT, linewidth=1.0, linestyle=(0, (4, 3)), label="another seed")]
    return dots + (seed if another_seed is not None else [])
