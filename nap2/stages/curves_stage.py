"""stage=curves: the training curves of stored candidates, coloured by where they ended up."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib import colormaps
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from numpy.typing import NDArray

from nap2.config import Config
from nap2.errors import EvaluationError, counted
from nap2.snapshots.stored_candidate import StoredCandidate
from nap2.stages.command.console import say, track
from nap2.stages.pool.stored import index_rows, labels_of, no_label, open_store

SMOOTHING = 10  # mini-batches


def run(config: Config) -> int:
    """Draw loss per mini-batch and validation accuracy per snapshot of a spread of candidates."""
    store = open_store(config)
    rows = index_rows(config, store)
    label = labels_of(config, rows)
    known = sorted((row for row in rows if row.arch_str in label), key=lambda row: label[row.arch_str])
    if not known:
        raise EvaluationError(no_label(config, len(rows)))
    places = np.linspace(0, len(known) - 1, min(config.curves.num_candidates, len(known))).round().astype(int)
    chosen = [known[place] for place in places]
    found = [store.read(row.id) for row in track(chosen, "reading", len(chosen))]
    path = Path(config.paths.runs) / "curves.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    title = f"{config.name}: {len(found)} of {counted(len(known), 'candidate')}"
    draw(found, [label[row.arch_str] for row in chosen], title, path)
    say(f"plot: {path}")
    return 0


def smoothed(loss: Sequence[float]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Numbers of mini-batches, and the mean of the last `SMOOTHING` losses (of all, where there are fewer)."""
    width = min(SMOOTHING, len(loss))
    means = np.convolve(loss, np.ones(width) / width, mode="valid")
    return np.arange(len(means)) + width, means


def draw(found: list[StoredCandidate], accuracy: list[float], title: str, path: Path) -> None:
    """Two panels: smoothed training loss, and validation accuracy at each snapshot."""
    low = float(np.quantile(accuracy, 0.1))  # a network that learned nothing must not use up the colours
    norm = Normalize(100 * low, 100 * max(accuracy), clip=True)
    figure = Figure(figsize=(11, 4), layout="constrained")
    loss_axes, accuracy_axes = figure.subplots(1, 2)
    for stored, final in zip(found, accuracy, strict=True):
        colour = colormaps["viridis"](norm(100 * final))
        loss_axes.plot(*smoothed(stored.curve.train_loss), color=colour, lw=1.2)
        steps = stored.trajectory.every * np.arange(1, len(stored.curve.snapshot_accuracy) + 1)
        accuracy_axes.plot(steps, 100 * np.asarray(stored.curve.snapshot_accuracy), color=colour, lw=1.2, marker=".")
    loss_axes.set(xlabel="mini-batches", ylabel=f"training loss (mean of the last {SMOOTHING})", title=title)
    accuracy_axes.set(xlabel="mini-batches", ylabel="validation accuracy at each snapshot (%)")
    figure.colorbar(ScalarMappable(norm, "viridis"), ax=accuracy_axes, label="final accuracy (%)", extend="min")
    figure.savefig(path, dpi=150)
