"""What all plots share: size, colours, axes, and how they are saved."""

import os
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

COLOURS = ("#0b5fa5", "#d1495b", "#2a9d5c", "#8a5bb5", "#c98a00", "#3aa6b9", "#7a4b2a", "#5a6b7b")
"""Told apart with the common colour deficiencies, and dark enough for a print; the first is the method of interest."""

INK = "#30363d"
FAINT = "#8b949e"
WIDTH, HEIGHT = 8.4, 4.8
"""Inches of a picture with nothing but its axes."""


def canvas(title: str, height: float = HEIGHT) -> tuple[Figure, Axes]:
    """An empty figure with one pair of axes and a title at its left edge."""
    figure = Figure(figsize=(WIDTH, height), layout="constrained")
    axes = figure.add_subplot()
    if title:
        axes.set_title(title, loc="left", color=INK, fontsize=12, pad=12)
    return figure, axes


def finish_axes(axes: Axes, across: str, up: str) -> None:
    """Names, a light grid, and no box."""
    axes.set_xlabel(across, color=INK, fontsize=10.5)
    axes.set_ylabel(up, color=INK, fontsize=10.5)
    axes.tick_params(colors=INK, labelsize=9.5, length=3)
    axes.grid(axis="y", color="#e6e8eb", linewidth=0.8)
    axes.set_axisbelow(True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_color(FAINT)


def save(figure: Figure, path: Path | str) -> Path:
    """Write the figure, replacing the file atomically; equal figures give equal files."""
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    staged = target.with_name(f".{os.getpid()}.{target.name}")
    metadata = {".pdf": {"CreationDate": None}, ".svg": {"Date": None}}.get(target.suffix)
    figure.savefig(staged, dpi=160, bbox_inches="tight", metadata=metadata)
    staged.replace(target)
    return target
