"""Cross-validation for pools too small to give up a fixed test set: every labelled candidate is tested once per repeat.

A fold is a split of its own: its test candidates, a validation set and a training pool drawn from the other folds.
"""

from collections.abc import Mapping

import numpy as np

from nap2.errors import EvaluationError
from nap2.evaluation.splitting.splits import Draw, Split
from nap2.seeding import seed_from


def make_folds(asked: Draw, num_folds: int, redraw: bool = False) -> list[list[Split]]:
    """Groups of splits; all splits of a group share test, validation and pool, so one encoder pair serves a group.

    Args:
        asked: candidates and sizes; a class of equal cells lies within one fold, and trials are repeats.
        num_folds: parts, at least 2.
        redraw: draw other folds in every repeat (a group per repeat and fold), and not only other orders of training.

    Returns:
        `num_folds` groups of `num_trials` splits; with `redraw`, `num_trials * num_folds` groups of one split.

    Raises:
        EvaluationError: fewer classes than folds, or fewer candidates than the sizes need, in one line.
    """
    tested = asked.may_judge(asked.accuracies)
    num_classes = len({asked.keys[arch] for arch in tested})
    if num_classes < num_folds:
        raise EvaluationError(
            f"{num_folds} folds of the {asked.flavour} split of {asked.space}/{asked.dataset} need as many different "
            f"networks; the {len(tested)} candidates to be tested are {num_classes}: use fewer folds."
        )
    groups = []
    for repeat in range(asked.num_trials if redraw else 1):
        purpose = ("folds", num_folds, repeat)
        judges = {arch: asked.accuracies[arch] for arch in tested}
        dealt = deal(judges, asked.keys, num_folds, (asked.space, asked.dataset, asked.seed, *purpose))
        trials = (repeat,) if redraw else range(asked.num_trials)
        for fold, test in enumerate(dealt):
            groups.append(asked.around(test, trials, fold=fold, num_folds=num_folds, purpose=(*purpose, fold)))
    return groups


def deal(
    accuracies: Mapping[str, float], keys: Mapping[str, str], num_folds: int, purpose: tuple[object, ...]
) -> list[list[str]]:
    """Classes dealt to folds like cards: of each `num_folds` that follow one another in accuracy, one to every fold."""
    members: dict[str, list[str]] = {}
    for arch in sorted(accuracies, key=lambda arch: (accuracies[arch], arch)):
        members.setdefault(keys[arch], []).append(arch)
    random = np.random.default_rng(seed_from("split", "deal", *purpose))
    folds: list[list[str]] = [[] for _ in range(num_folds)]
    chosen: list[int] = []
    for arch_strs in members.values():
        chosen = chosen or random.permutation(num_folds).tolist()
        folds[chosen.pop()] += arch_strs
    return [sorted(fold) for fold in folds]
