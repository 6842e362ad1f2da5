"""A picture: rank correlation against the labelled candidates that were learned from, one line per method."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from matplotlib.axes import Axes

from nap2.evaluation.judging.metrics import TAU
from nap2.evaluation.plots.drawing import COLOURS, canvas, finish_axes, save
from nap2.evaluation.plots.line_names import LineName, name_lines
from nap2.evaluation.records.aggregate import Aggregate

Pattern = tuple[int, tuple[float, ...]]
_PATTERNS: Sequence[str | Pattern] = ("-", (0, (1.2, 1.4)), (0, (7, 1.5, 1.5, 1.5)))
"""How lines of several sources are told apart; dashes alone are for what learns from no label."""


def labels_plot(
    aggregates: Iterable[Aggregate],
    path: Path | str,
    another_seed: float | None = None,
    title: str = "",
) -> Path:
    """Draw Kendall's τ at each method's largest query budget, with its standard deviation over trials.

    A method is a line where it was fitted on several numbers of labels. Where labels came from several sources, a
    colour is a method and a pattern of line a source, and what is part of another method (`nap2_plus: graph alone`) is
    left to the tables. Of those that learn from no label three stand there as dashed lines across: the parameter count,
    the best that sees no training, and the best that does.

    Args:
        aggregates: over one test set, of one target and flavour, that `has_several_sizes`; the first is drawn on top.
        path: `.png`, `.pdf` or `.svg`.
        another_seed: what the final accuracies of another seed reach.
        title: above the picture.
    """
    shown = _taus(aggregates)
    learners = _learners(shown)
    sizes = sorted({found.row.train_size for points in learners.values() for found in points})
    figure, axes = canvas(title)
    axes.set_xlim(sizes[0] - (sizes[-1] - sizes[0]) * 0.03, sizes[-1] + (sizes[-1] - sizes[0]) * 0.03)
    methods, sources = (list(dict.fromkeys(key[part] for key in learners)) for part in (0, 1))
    names = []
    for (method, source), points in learners.items():
        name = f"{method} ({source})" if len(sources) > 1 else method
        pattern = _PATTERNS[sources.index(source) % len(_PATTERNS)]
        names.append(_learner(axes, name, points, methods.index(method), pattern))
    for place, found in enumerate(_unlearned(shown), start=len(methods)):
        colour = COLOURS[place % len(COLOURS)]
        axes.axhline(found.mean or 0.0, color=colour, linewidth=1.6, linestyle=(0, (5, 3)), zorder=3)
        names.append((found.mean or 0.0, found.row.method, colour))
    name_lines(axes, names, another_seed)
    finish_axes(axes, "labelled candidates learned from", f"{TAU.label} ± standard deviation over trials")
    axes.set_xticks(sizes)
    return save(figure, path)


def has_several_sizes(aggregates: Iterable[Aggregate]) -> bool:
    """Whether there is anything to draw."""
    return bool(_learners(_taus(aggregates)))


def _taus(aggregates: Iterable[Aggregate]) -> list[Aggregate]:
    return [found for found in aggregates if found.row.metric == TAU.name and found.mean is not None]


def _learners(shown: Iterable[Aggregate]) -> dict[tuple[str, str], list[Aggregate]]:
    """By method and source: its figures at the largest budget, by rising train size, where there are several."""
    largest: dict[tuple[str, str, int], Aggregate] = {}
    for found in shown:
        if found.row.train_size:
            key = found.row.method, found.row.source, found.row.train_size
            largest[key] = max(largest.get(key, found), found, key=lambda one: one.row.query_batches)
    fitted: dict[tuple[str, str], list[Aggregate]] = {}
    for (method, source, _), found in sorted(largest.items(), key=lambda item: item[0][2]):
        fitted.setdefault((method, source), []).append(found)
    several = {key: points for key, points in fitted.items() if len(points) > 1}
    if len({source for _, source in several}) > 1:
        whole = {key: points for key, points in several.items() if ": " not in key[0]}
        return whole or several
    return several


def _unlearned(shown: Sequence[Aggregate]) -> list[Aggregate]:
    """What learns from no label: the size, and the best figure before and after the first step of training."""
    free = [found for found in shown if not found.row.train_size]
    last = max((found.row.query_batches for found in free), default=0)
    groups = (
        [found for found in free if found.row.method == "parameters"],
        [found for found in free if found.row.query_batches == 0],
        [found for found in free if found.row.query_batches == last > 0],
    )
    best = [max(group, key=lambda one: one.mean or 0.0) for group in groups if group]
    return list({found.row.method: found for found in best}.values())


def _learner(axes: Axes, name: str, points: Sequence[Aggregate], place: int, pattern: str | Pattern) -> LineName:
    colour, width = COLOURS[place % len(COLOURS)], 2.3 if place == 0 else 1.6
    sizes, means = [one.row.train_size for one in points], [one.mean or 0.0 for one in points]
    spread = [one.std or 0.0 for one in points]
    axes.errorbar(
        sizes,
        means,
        spread,
        color=colour,
        linewidth=width,
        linestyle=pattern,
        marker="o",
        markersize=4.5,
        capsize=2,
        zorder=10 - place / 10,
    )
    return means[-1], name, colour
