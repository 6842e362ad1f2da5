"""Out-of-fold predictions joined: after this a cross-validated method is judged like any other, over all candidates."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from nap2.errors import EvaluationError
from nap2.evaluation.judging.exam import Predictions


def pooled(parts: Sequence[tuple[Sequence[str], Predictions]], arch_strs: Sequence[str]) -> Predictions:
    """What one method says about all candidates, each predicted in the fold that tested it.

    The predictions are pooled as they are: models of different folds share one scale, the accuracy, and a fold whose
    model is off by a constant lowers the pooled metric, as it would lower the use of these predictions.

    Args:
        parts: test candidates of each fold, and the predictions of a method fitted on the others.
        arch_strs: the order of the result; a candidate that no part tested in some trial is NaN there.

    Returns:
        Predictions over `arch_strs`, one trial per trial index that occurs in the parts; the time to fit is the mean
        of the folds'. A single part in this very order is returned as it is.

    Raises:
        EvaluationError: no parts, parts of several methods or budgets, or a candidate tested twice in one trial.
    """
    if len(parts) == 1 and list(parts[0][0]) == list(arch_strs):
        return parts[0][1]
    methods = {(part.method, part.query_batches, part.train_size) for _, part in parts}
    if len(methods) != 1:
        raise EvaluationError(
            f"Folds of one method at the same budgets can be pooled; there are {sorted(methods)}: pool each by itself."
        )
    place = {arch: index for index, arch in enumerate(arch_strs)}
    trials = sorted({trial for _, part in parts for trial in part.trials})
    first = parts[0][1]
    values = np.full((len(trials), len(first.query_batches), len(arch_strs)), np.nan)
    seeds: dict[int, int] = {}
    for tested, part in parts:
        columns = np.array([place[arch] for arch in tested], dtype=np.int64)
        for row, (trial, seed) in enumerate(zip(part.trials, part.seeds, strict=True)):
            target = values[trials.index(trial)]
            if np.isfinite(target[:, columns]).any():
                raise EvaluationError(
                    f"A candidate is tested twice in trial {trial} of {first.method}: pass folds that share none."
                )
            target[:, columns] = part.values[row]
            seeds.setdefault(trial, seed)
    times = [part.init_time_s for _, part in parts]
    mean_time = None if None in times else float(np.mean([time for time in times if time is not None]))
    return replace(
        first,
        values=values,
        trials=tuple(trials),
        seeds=tuple(seeds[trial] for trial in trials),
        init_time_s=mean_time,
        note="; ".join(filter(None, (first.note, f"out-of-fold predictions of {len(parts)} fits, pooled"))),
    )
