"""Names of lines at the right margin of a picture, beside where each line ends."""

from collections.abc import Sequence

from matplotlib.axes import Axes
from scipy.optimize import isotonic_regression

from nap2.evaluation.plots.drawing import FAINT

LineName = tuple[float, str, str]
"""Height, text and colour of a name at the right margin."""
NAME = 0.2
"""Inches that a name takes."""


def reference(axes: Axes, height: float, name: str) -> LineName:
    """A dotted line across, and its name."""
    axes.axhline(height, color=FAINT, linewidth=1.0, linestyle=(0, (1, 2)), zorder=1)
    return height, name, FAINT


def name_lines(axes: Axes, names: Sequence[LineName], another_seed: float | None) -> None:
    """Names beside the ends of their lines, moved apart where they would touch; chance and `another_seed` are added."""
    names = [*names, reference(axes, 0.0, "chance")]
    if another_seed is not None:
        names.append(reference(axes, another_seed, "another seed"))
    low, high = axes.get_ylim()
    inches = axes.figure.bbox.height / axes.figure.dpi * 0.87  # what a title and the names below leave of it
    gap = (high - low) * NAME / inches
    heights = spread([height for height, _, _ in names], gap, high)
    for (height, name, colour), shown in zip(names, heights, strict=True):
        axes.annotate(
            name,
            xy=(1.0, height),
            xytext=(1.025, shown),
            xycoords=axes.get_yaxis_transform(),
            textcoords=axes.get_yaxis_transform(),
            color=colour,
            fontsize=9.5,
            va="center",
            annotation_clip=False,
            arrowprops={
                "arrowstyle": "-",
                "color": colour,
                "linewidth": 0.7,
                "shrinkA": 0,
                "shrinkB": 0,
                "relpos": (0, 0.5),
            },
        )


def spread(heights: Sequence[float], gap: float, top: float = float("inf")) -> list[float]:
    """Heights in their order, at least `gap` apart, moved as little as possible (least squares), none above `top`."""
    order = sorted(range(len(heights)), key=heights.__getitem__)
    steps = [rank * gap for rank in range(len(order))]
    fitted = isotonic_regression([heights[place] - step for place, step in zip(order, steps, strict=True)]).x
    limits = [top - (len(order) - 1 - rank) * gap for rank in range(len(order))]
    placed = (min(float(x) + step, limit) for x, step, limit in zip(fitted, steps, limits, strict=True))
    shown = dict(zip(order, placed, strict=True))
    return [shown[place] for place in range(len(heights))]
