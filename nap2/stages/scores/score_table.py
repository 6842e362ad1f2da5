"""`scores.csv` of stage=proxies: a line per network, seed and batch, a column per score; empty where there is none."""

import csv
import os
from pathlib import Path

import numpy as np

from nap2.stages.scores.proxy_report import pool_predictions, raw_by_trial, single_predictions
from nap2.stages.scores.score_file import Scores


def write_score_table(scores: Scores, path: Path) -> None:
    """Write every score that needs no accuracy, those of pools included, turned so that higher means better.

    Args:
        scores: of all of some networks × (seed, batch).
        path: replaced in one step.
    """
    names = list(dict.fromkeys(task.arch_str for task in scores.tasks))
    trials = sorted({(task.seed, task.batch) for task in scores.tasks})
    raw = raw_by_trial(scores, names, trials)
    methods = [*single_predictions(scores, raw, trials), *pool_predictions(scores, raw, trials)]
    staged = path.with_name(f".{path.name}.{os.getpid()}.partial")
    with staged.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(["arch_str", "seed", "batch", *(method.method for method in methods)])
        for row, name in enumerate(names):
            for trial, (seed, batch) in enumerate(trials):
                values = [float(method.values[trial, 0, row]) for method in methods]
                rows.writerow([name, seed, batch, *("" if np.isnan(value) else value for value in values)])
    staged.replace(path)
