"""A picture: rank correlation against the query budget, one line per method with its interval."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from matplotlib.axes import Axes
from scipy.optimize import isotonic_regression

from nap2.errors import EvaluationError
from nap2.evaluation.aggregate import Aggregate
from nap2.evaluation.as_text import method_label
from nap2.evaluation.drawing import COLOURS, FAINT, canvas, finish_axes, save
from nap2.evaluation.metrics import METRICS


def budget_plot(
    aggregates: Iterable[Aggregate],
    path: Path | str,
    metric: str = "kendall_tau",
    ceiling: float | None = None,
    title: str = "",
) -> Path:
    """Draw the metric against the mini-batches seen, one line per method, with its interval.

    A method that sees no training is a dashed line across.

    Args:
        aggregates: of one target and flavour; the first method is drawn on top.
        path: `.png`, `.pdf` or `.svg`.
        metric: name in `METRICS`.
        ceiling: noise ceiling.
        title: above the picture.

    Raises:
        EvaluationError: nothing to draw.
    """
    methods = _by_method(found for found in aggregates if found.row.metric == metric and found.mean is not None)
    if not methods:
        raise EvaluationError(f"There is no {metric} to plot: evaluate a method first.")
    figure, axes = canvas(title)
    budgets = sorted({found.row.query_batches for points in methods.values() for found in points} - {0}) or [1]
    span = (budgets[0] if len(budgets) > 1 else 0, budgets[-1])
    labels = [_draw_method(axes, name, points, place, span) for place, (name, points) in enumerate(methods.items())]
    chance = METRICS[metric].chance(next(iter(methods.values()))[0].row.num_test)
    labels.append(_reference(axes, chance, "chance"))
    if ceiling is not None:
        labels.append(_reference(axes, ceiling, "noise ceiling"))
    pad = (span[1] - span[0]) * 0.03
    axes.set_xlim(span[0] - pad, span[1] + pad)
    _label_right(axes, labels)
    finish_axes(axes, "mini-batches of training seen per candidate", f"{METRICS[metric].label} with its 95 % interval")
    axes.set_xticks(_ticks(budgets))
    return save(figure, path)


Label = tuple[float, str, str]
"""Height, text and colour of a name at the right margin."""


def _by_method(aggregates: Iterable[Aggregate]) -> dict[str, list[Aggregate]]:
    methods: dict[str, list[Aggregate]] = {}
    for found in aggregates:
        methods.setdefault(method_label(found), []).append(found)
    return {name: sorted(points, key=lambda found: found.row.query_batches) for name, points in methods.items()}


def _draw_method(axes: Axes, name: str, points: Sequence[Aggregate], place: int, span: tuple[float, float]) -> Label:
    colour, means = COLOURS[place % len(COLOURS)], [found.mean or 0.0 for found in points]
    if points[-1].row.query_batches == 0:
        axes.plot(span, means[-1:] * 2, color=colour, linewidth=1.6, linestyle=(0, (5, 3)), zorder=3)
    else:
        width, marker = (2.3, 5.0) if place == 0 else (1.6, 3.8)
        batches = [found.row.query_batches for found in points]
        axes.plot(batches, means, color=colour, linewidth=width, marker="o", markersize=marker, zorder=10 - place / 10)
    bounds = [(found.row.query_batches, found.low, found.high) for found in points]
    _draw_intervals(
        axes, [(x, low, high) for x, low, high in bounds if low is not None and high is not None], colour, place, span
    )
    return means[-1], name, colour


def _draw_intervals(
    axes: Axes, bounds: Sequence[tuple[float, float, float]], colour: str, place: int, span: tuple[float, float]
) -> None:
    """A band for the first method; whiskers for the others, set side by side, so that bands do not cover each other."""
    if place == 0 and len(bounds) > 1:
        batches, lows, highs = ([bound[part] for bound in bounds] for part in range(3))
        axes.fill_between(batches, lows, highs, color=colour, alpha=0.15, linewidth=0, zorder=2)
        return
    aside = (span[1] - span[0]) * 0.004 * place
    for batches_seen, low, high in bounds:
        x = (batches_seen or span[1]) + aside
        axes.plot([x, x], [low, high], color=colour, linewidth=1.1, alpha=0.5, zorder=4)


def _reference(axes: Axes, height: float, name: str) -> Label:
    axes.axhline(height, color=FAINT, linewidth=1.0, linestyle=(0, (1, 2)), zorder=1)
    return height, name, FAINT


def _label_right(axes: Axes, labels: Sequence[Label]) -> None:
    """Names beside the ends of their lines, moved apart where they would touch."""
    low, high = axes.get_ylim()
    gap = (high - low) * 0.048
    heights = _spread([height for height, _, _ in labels], gap)
    for (height, name, colour), shown in zip(labels, heights, strict=True):
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


def _spread(heights: Sequence[float], gap: float) -> list[float]:
    """Heights in their order, at least `gap` apart, moved as little as possible (least squares)."""
    order = sorted(range(len(heights)), key=heights.__getitem__)
    steps = [rank * gap for rank in range(len(order))]
    fitted = isotonic_regression([heights[place] - step for place, step in zip(order, steps, strict=True)]).x
    shown = dict(zip(order, (float(x) + step for x, step in zip(fitted, steps, strict=True)), strict=True))
    return [shown[place] for place in range(len(heights))]


def _ticks(budgets: Sequence[int]) -> list[int]:
    """Every n-th budget, counted from the last, at most eight."""
    step = -(-len(budgets) // 8)
    return list(budgets[::-1][::step])[::-1]
