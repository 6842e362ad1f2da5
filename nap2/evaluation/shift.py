"""How far the statistics of the same architectures lie apart in two stores: the paper's Table 40, for AdamW and SGD.

`python -m nap2.evaluation.shift FIRST SECOND` reads two stores or released sets and prints the ratio of each statistic,
second by first, at the last snapshot that all common candidates have.
"""

import argparse
import re
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from nap2.errors import EvaluationError, Nap2Error, counted
from nap2.evaluation.pages.tables import Table, to_markdown, to_rich
from nap2.feature_maps.padding import dense_maps
from nap2.schema import MODALITIES, SCALAR_STATISTICS
from nap2.snapshots.manifest import Candidate
from nap2.snapshots.reader import SnapshotReader, open_snapshots
from nap2.snapshots.trajectory import Trajectory

Floats = NDArray[np.float64]

SHOWN = (0.1, 0.5, 0.9)
"""Quantiles over candidates."""

SAME = re.compile(r"every:|space:|skeleton\.(?!num_classes:)")
"""How a difference begins that two stores may not have; the number of classes is the dataset's."""


def ratios(first: Floats, second: Floats) -> Floats:
    """`[F - 1]`: the median over layers of second by first, in magnitude; NaN where no layer has both.

    A layer whose value is 0 in either counts as one that lacks it: it had no gradient, or is all alike.

    Args:
        first: `[L, F - 1]`.
        second: `[L, F - 1]`, of the same layers.
    """
    both = (first != 0) & (second != 0)
    each = np.abs(np.divide(second, first, out=np.full_like(first, np.nan), where=both))
    return np.array(
        [np.nanmedian(column) if some else np.nan for column, some in zip(each.T, both.any(0), strict=True)]
    )


@dataclass(frozen=True, eq=False)
class Shift:
    """What `shift` found.

    Attributes:
        ratios: `[A, M, F - 1]`, of every common candidate.
        query_batches: mini-batches before the snapshot that was looked at.
    """

    ratios: Floats
    query_batches: int


def shift(first: SnapshotReader, second: SnapshotReader) -> Shift:
    """Second by first, on the architectures (and seeds) of both, at the last snapshot that all of these have.

    Raises:
        EvaluationError: if they have none in common, networks of other sizes, or another interval between snapshots.
    """
    if other := [line for line in first.setting.differences(second.setting) if SAME.match(line)]:
        raise EvaluationError(
            f"{first.root} and {second.root} cannot be compared ({'; '.join(other)}); name stores of one interval and "
            "of networks of one size."
        )
    mine, theirs, pairs = first.complete(), second.complete(), {}
    for candidate_id in theirs:
        candidate = second.record(candidate_id).candidate
        twin = Candidate(first.setting, candidate.arch_str, candidate.seed).id
        if twin in mine:
            pairs[twin] = candidate_id
    if not pairs:
        raise EvaluationError(
            f"{first.root} and {second.root} have no architecture in common; train the same list in both."
        )
    last = min(min(mine[one], theirs[other]) for one, other in pairs.items())
    found = [_of_pair(first, one, second, other, last - 1) for one, other in pairs.items()]
    return Shift(np.stack(found), last * first.setting.every)


def _of_pair(first: SnapshotReader, one: str, second: SnapshotReader, other: str, snapshot: int) -> Floats:
    mine, theirs = (_global_values(of.trajectory, snapshot) for of in (first.read(one), second.read(other)))
    return np.stack([ratios(*both) for both in zip(mine, theirs, strict=True)])


def _global_values(trajectory: Trajectory, snapshot: int) -> Floats:
    """`[M, L, F - 1]`: every layer's statistics over all its values."""
    maps = dense_maps(trajectory.values[snapshot], trajectory.units)
    return maps[:, : len(trajectory.units), 0, : len(SCALAR_STATISTICS)].double().numpy()


def shift_table(found: Shift, first: str, second: str) -> Table:
    """One line per statistic, for each modality the median over candidates and where the middle 80 % lie."""
    cells = [[_cell(found.ratios[:, m, f]) for m in range(len(MODALITIES))] for f in range(len(SCALAR_STATISTICS))]
    return Table(
        title=f"Statistics of {second}, as a multiple of those of {first}",
        header=("statistic", *MODALITIES),
        rows=tuple((name, *both) for name, both in zip(SCALAR_STATISTICS, cells, strict=True)),
        notes=(
            f"After {counted(found.query_batches, 'mini-batch', 'mini-batches')}, over "
            f"{counted(len(found.ratios), 'candidate')}: the median, and where the middle 80 % lie.",
            "Of each candidate, the median over layers of the ratio of magnitudes.",
        ),
    )


def _cell(values: Floats) -> str:
    defined = values[np.isfinite(values)]
    if not defined.size:
        return "–"
    low, middle, high = np.quantile(defined, SHOWN)
    return f"{middle:.2f} [{low:.2f}, {high:.2f}]"


if __name__ == "__main__":
    parser = argparse.ArgumentParser("python -m nap2.evaluation.shift", description=__doc__)
    for name in ("first", "second"):
        parser.add_argument(name, type=Path, help="a store or a released snapshot set")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="write the table there, too")
    asked = parser.parse_args()
    try:
        stores = open_snapshots(asked.first), open_snapshots(asked.second)
        table = shift_table(shift(*stores), asked.first.name, asked.second.name)
        Console().print(to_rich(table))
        if asked.markdown:
            asked.markdown.write_text(to_markdown(table), encoding="utf-8")
    except (Nap2Error, OSError) as error:
        sys.exit(f"error: {error}")
