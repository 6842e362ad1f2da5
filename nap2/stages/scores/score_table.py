"""`scores.csv` of stage=proxies: a line per network, seed and batch, a column per score; empty where there is none."""

from pathlib import Path

import numpy as np

from nap2.evaluation.records.csv_text import to_csv
from nap2.snapshots.disk import write_atomically
from nap2.stages.scores.proxy_report import proxy_methods
from nap2.stages.scores.score_file import Scores


def write_score_table(scores: Scores, path: Path) -> None:
    """Write every score that needs no accuracy, those of pools included, turned so that higher means better.

    Args:
        scores: of all of some networks × (seed, batch).
        path: replaced in one step.
    """
    names, methods = scores.arch_strs, proxy_methods(scores, scores.arch_strs)
    values = np.stack([method.values[:, 0] for method in methods], axis=-1).tolist()  # [trials, A, methods]
    rows = (
        [name, seed, batch, *values[trial][row]]
        for row, name in enumerate(names)
        for trial, (seed, batch) in enumerate(scores.trials)
    )
    header = ("arch_str", "seed", "batch", *(method.method for method in methods))
    write_atomically(path, to_csv(header, rows).encode())
