"""A picture: rank correlation against the cost of a query, one named point per method."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backend_bases import RendererBase
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from matplotlib.ticker import FuncFormatter, NullFormatter
from matplotlib.transforms import Bbox
from numpy.typing import NDArray

from nap2.errors import EvaluationError
from nap2.evaluation.judging.metrics import TAU
from nap2.evaluation.plots.drawing import COLOURS, FAINT, canvas, finish_axes, save
from nap2.evaluation.plots.line_names import reference
from nap2.evaluation.records.aggregate import Aggregate

_OFFSETS = tuple(
    (distance * x, distance * y)
    for distance in (7, 12, 18, 26, 36, 48)
    for x, y in ((1, 0), (1, 0.7), (1, -0.7), (0, 1), (0, -1), (-1, 0), (-1, 0.7), (-1, -0.7))
)
"""Where a name may stand relative to its point, in points of type, nearest first."""
_NAME_SIZE = 9
_NEAR = 8
"""Points of type up to which a name needs no line to its point."""
_ALIGNMENTS: Mapping[int, Literal["left", "center", "right"]] = {1: "left", 0: "center", -1: "right"}
"""How a name is aligned by the sign of its horizontal offset."""


def cost_plot(aggregates: Iterable[Aggregate], path: Path | str, title: str = "") -> Path:
    """Draw Kendall's τ against seconds per candidate (logarithmic), one named point per method with its interval.

    Blue: no cheaper method ranks better.

    Raises:
        EvaluationError: no method has both a figure and a cost.
    """
    points = [a for a in aggregates if a.row.metric == TAU.name and a.mean is not None and a.row.query_time_s]
    if not points:
        raise EvaluationError(f"There is no {TAU.name} with a query time to plot: run stage=proxies first.")
    figure, axes = canvas(title)
    leading = _front(points)
    for found in points:
        _point(axes, found, _colour(found, leading))
    axes.set_xscale("log")
    seconds = [float(found.row.query_time_s or 0) for found in points]
    axes.set_xlim(min(seconds) / 1.8, max(seconds) * 2.6)
    _chance(axes)
    _name_points(figure, axes, points, leading)
    across = "seconds per candidate (blue: nothing cheaper ranks better)"
    finish_axes(axes, across, f"{TAU.label} with its 95 % interval")
    plain = FuncFormatter(lambda value, _: f"{value:g}")
    axes.xaxis.set_major_formatter(plain)
    axes.xaxis.set_minor_formatter(NullFormatter() if max(seconds) > 10 * min(seconds) else plain)
    return save(figure, path)


def _point(axes: Axes, found: Aggregate, colour: str) -> None:
    row, seconds, mean = found.row, float(found.row.query_time_s or 0), float(found.mean or 0)
    if row.low is not None and row.high is not None:
        axes.plot([seconds, seconds], [row.low, row.high], color=colour, linewidth=1.2, alpha=0.55, zorder=2)
    axes.plot([seconds], [mean], color=colour, marker="o", markersize=6.5, markeredgecolor="white", zorder=3)


def _chance(axes: Axes) -> None:
    _, name, _ = reference(axes, 0.0, "chance")
    axes.annotate(
        name, (1.0, 0.0), (0, 3), axes.get_yaxis_transform(), "offset points", color=FAINT, fontsize=9, ha="right"
    )


def _front(points: Sequence[Aggregate]) -> frozenset[str]:
    """Methods that no cheaper one (and no equally cheap one) ranks better than."""
    cost = {found.row.method: (found.row.query_time_s or 0, -(found.mean or 0)) for found in points}
    best, front = float("inf"), set()
    for name in sorted(cost, key=cost.__getitem__):
        if cost[name][1] < best:
            best = cost[name][1]
            front.add(name)
    return frozenset(front)


def _colour(found: Aggregate, leading: Collection[str]) -> str:
    return COLOURS[0] if found.row.method in leading else COLOURS[-1]


def _name_points(figure: Figure, axes: Axes, points: Sequence[Aggregate], leading: Collection[str]) -> None:
    """Each name at the nearest place where it covers no point and no other name; the leading ones choose first."""
    points = sorted(points, key=lambda found: found.row.method not in leading)
    renderer = _drawn(figure)
    scale = figure.dpi / 72
    anchors = [axes.transData.transform((found.row.query_time_s or 0, found.mean or 0)) for found in points]
    taken = [Bbox.from_bounds(x - 4 * scale, y - 4 * scale, 8 * scale, 8 * scale) for x, y in anchors]
    for found, anchor in zip(points, anchors, strict=True):
        probe = axes.text(0, 0, found.row.method, fontsize=_NAME_SIZE)
        size = probe.get_window_extent(renderer)
        probe.remove()
        boxes = [(offset, _box(anchor, offset, size, scale)) for offset in _OFFSETS]
        free = [(offset, box) for offset, box in boxes if not any(box.overlaps(other) for other in taken)]
        offset, box = (free or boxes)[0]
        _name(axes, found, offset, _colour(found, leading))
        taken.append(box)


def _name(axes: Axes, found: Aggregate, offset: tuple[float, float], colour: str) -> None:
    """Write a method's name at an offset from its point; a line leads there from afar."""
    side = (offset[0] > 0) - (offset[0] < 0)
    leader = {"arrowstyle": "-", "color": colour, "linewidth": 0.7, "shrinkB": 3, "relpos": (0.5 - 0.5 * side, 0.5)}
    text = axes.annotate(
        found.row.method,
        (found.row.query_time_s or 0, found.mean or 0),
        offset,
        textcoords="offset points",
        arrowprops=leader if max(map(abs, offset)) > _NEAR else None,
        fontsize=_NAME_SIZE,
        color=colour,
        va="center",
        ha=_ALIGNMENTS[side],
        path_effects=[withStroke(linewidth=2.5, foreground="white")],
    )
    text.set_in_layout(False)


def _drawn(figure: Figure) -> RendererBase:
    """Lay the figure out once, so that places on it are known."""
    agg: Any = FigureCanvasAgg(figure)  # its methods carry no annotations
    agg.draw()
    renderer: RendererBase = agg.get_renderer()
    return renderer


def _box(anchor: NDArray[np.float64], offset: tuple[float, float], size: Bbox, scale: float) -> Bbox:
    """The box of a name that stands `offset` from its point, aligned as `_ALIGNMENTS` says."""
    x, y = anchor[0] + offset[0] * scale, anchor[1] + offset[1] * scale - size.height / 2
    shift = size.width * (0.5 - 0.5 * ((offset[0] > 0) - (offset[0] < 0)))
    return Bbox.from_bounds(x - shift, y, size.width, size.height)
