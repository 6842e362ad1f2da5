"""A picture: rank correlation against the query budget, one line per method with its interval."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from matplotlib.axes import Axes

from nap2.errors import EvaluationError
from nap2.evaluation.judging.metrics import TAU
from nap2.evaluation.plots.drawing import COLOURS, HEIGHT, canvas, finish_axes, save
from nap2.evaluation.plots.line_names import NAME, LineName, name_lines
from nap2.evaluation.plots.method_plot import method_plot
from nap2.evaluation.records.aggregate import Aggregate
from nap2.evaluation.records.as_text import method_label

_PATTERNS = ("-", ":", "-.")
"""Of lines that share a colour; dashes alone are for what sees no training."""


def budget_plot(
    aggregates: Iterable[Aggregate],
    path: Path | str,
    another_seed: float | None = None,
    title: str = "",
) -> Path:
    """Draw Kendall's τ against the mini-batches seen, one line per method; intervals of the first, and at the end.

    A method that sees no training is a dashed line across. Where there is one budget alone, no line can be drawn: each
    method gets a row instead (`method_plot`).

    Args:
        aggregates: of one target and flavour; the first method is drawn on top.
        path: `.png`, `.pdf` or `.svg`.
        another_seed: what the final accuracies of another seed reach.
        title: above the picture.

    Raises:
        EvaluationError: nothing to draw.
    """
    methods = _by_method(found for found in aggregates if found.row.metric == TAU.name and found.mean is not None)
    if not methods:
        raise EvaluationError(f"There is no {TAU.name} to plot: evaluate a method first.")
    budgets = sorted({found.row.query_batches for points in methods.values() for found in points} - {0})
    if len(budgets) < 2:
        at_the_end = {name: points[-1] for name, points in methods.items()}
        return method_plot(at_the_end, max(budgets, default=0), path, another_seed, title)
    figure, axes = canvas(title, height=max(HEIGHT, NAME * (len(methods) + 2)))
    span = (budgets[0], budgets[-1])
    names = [_draw_method(axes, name, points, place, span) for place, (name, points) in enumerate(methods.items())]
    pad = (span[1] - span[0]) * 0.03
    axes.set_xlim(span[0] - pad, span[1] + pad)
    name_lines(axes, names, another_seed)
    finish_axes(axes, "mini-batches of training seen per candidate", f"{TAU.label} with its 95 % interval")
    axes.set_xticks(_ticks(budgets))
    return save(figure, path)


def _by_method(aggregates: Iterable[Aggregate]) -> dict[str, list[Aggregate]]:
    methods: dict[str, list[Aggregate]] = {}
    for found in aggregates:
        methods.setdefault(method_label(found), []).append(found)
    return {name: sorted(points, key=lambda found: found.row.query_batches) for name, points in methods.items()}


def _draw_method(axes: Axes, name: str, points: Sequence[Aggregate], place: int, span: tuple[float, float]) -> LineName:
    colour, means = COLOURS[place % len(COLOURS)], [found.mean or 0.0 for found in points]
    pattern = _PATTERNS[place // len(COLOURS) % len(_PATTERNS)]
    if points[-1].row.query_batches == 0:
        axes.plot(span, means[-1:] * 2, color=colour, linewidth=1.6, linestyle=(0, (5, 3)), zorder=3)
    else:
        width, marker = (2.3, 5.0) if place == 0 else (1.6, 3.8)
        batches = [found.row.query_batches for found in points]
        axes.plot(
            batches,
            means,
            color=colour,
            linestyle=pattern,
            linewidth=width,
            marker="o",
            markersize=marker,
            zorder=10 - place / 10,
        )
    with_interval = points if place == 0 else points[-1:]
    bounds = [(found.row.query_batches, found.row.low, found.row.high) for found in with_interval]
    _draw_intervals(
        axes, [(x, low, high) for x, low, high in bounds if low is not None and high is not None], colour, place, span
    )
    return means[-1], name, colour


def _draw_intervals(
    axes: Axes, bounds: Sequence[tuple[float, float, float]], colour: str, place: int, span: tuple[float, float]
) -> None:
    """A band for the first method; a whisker for each other at its last budget, set side by side."""
    if place == 0 and len(bounds) > 1:
        batches, lows, highs = ([bound[part] for bound in bounds] for part in range(3))
        axes.fill_between(batches, lows, highs, color=colour, alpha=0.15, linewidth=0, zorder=2)
        return
    aside = (span[1] - span[0]) * 0.004 * place
    for batches_seen, low, high in bounds:
        x = (batches_seen or span[1]) + aside
        axes.plot([x, x], [low, high], color=colour, linewidth=1.1, alpha=0.5, zorder=4)


def _ticks(budgets: Sequence[int]) -> list[int]:
    """Every n-th budget, counted from the last, at most eight."""
    step = -(-len(budgets) // 8)
    return list(budgets[::-1][::step])[::-1]
