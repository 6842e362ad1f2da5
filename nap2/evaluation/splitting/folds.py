"""Cross-validation for pools too small to give up a fixed test set: every labelled candidate is tested once per repeat.

A fold is a split of its own: its test candidates, a validation set and a training pool drawn from the other folds.
"""

from collections.abc import Mapping

import numpy as np

from nap2.errors import EvaluationError
from nap2.evaluation.splitting.splits import SPLIT_SEED, ClassOf, Split, class_keys, refuse_too_few
from nap2.evaluation.splitting.strata import strata_of, stratified_order, without_classes
from nap2.seeding import seed_from


def make_folds(
    accuracies: Mapping[str, float],
    space: str,
    dataset: str,
    flavour: str = "functional",
    class_of: ClassOf | None = None,
    *,
    num_folds: int,
    num_train: int | None,
    num_val: int,
    num_trials: int,
    seed: int = SPLIT_SEED,
    redraw: bool = False,
) -> list[list[Split]]:
    """Groups of splits; all splits of a group share test, validation and pool, so one encoder pair serves a group.

    The result depends on the set of candidates and not on its order.

    Args:
        accuracies: label of every candidate, as a fraction; a candidate without one is left out by the caller.
        space: name of the search space.
        dataset: name of the dataset that the accuracies belong to.
        flavour: one of `nap2.evaluation.splitting.splits.FLAVOURS`; a class of equal cells lies within one fold.
        class_of: the class key of an arch string; required unless the flavour is `paper`.
        num_folds: parts, at least 2.
        num_train: the largest train size; None: the whole pool of each fold.
        num_val: validation candidates of each fold.
        num_trials: repeats.
        seed: of the folds, of their validation candidates and of the trials' orders.
        redraw: draw other folds in every repeat (a group per repeat and fold), and not only other orders of training.

    Returns:
        `num_folds` groups of `num_trials` splits; with `redraw`, `num_trials * num_folds` groups of one split.

    Raises:
        EvaluationError: fewer classes than folds, or fewer candidates than the sizes need, in one line.
    """
    keys = class_keys(accuracies, flavour, class_of)
    if len(set(keys.values())) < num_folds:
        raise EvaluationError(
            f"{num_folds} folds of the {flavour} split of {space}/{dataset} need as many different networks; the"
            f" {len(accuracies)} candidates with a label are {len(set(keys.values()))}: use fewer folds."
        )
    strata, groups = strata_of(accuracies), []
    for repeat in range(num_trials if redraw else 1):
        purpose = (space, dataset, seed, "folds", num_folds, repeat)
        for fold, test in enumerate(deal(accuracies, keys, num_folds, purpose)):
            others = without_classes(sorted(accuracies), {keys[arch] for arch in test}, keys.__getitem__)
            rest = stratified_order(others, strata, ("val", *purpose, fold))
            val = rest[:num_val]
            pool = sorted(without_classes(rest, {keys[arch] for arch in val}, keys.__getitem__))
            title = f"fold {fold + 1} of {num_folds} of the {flavour} split of {space}/{dataset}"
            refuse_too_few(title, len(accuracies), (num_train or 2, num_val, 1), (len(pool), len(val), len(test)))
            trials = (repeat,) if redraw else range(num_trials)
            orders = {trial: stratified_order(pool, strata, ("train", *purpose, fold, trial)) for trial in trials}
            parts = (tuple(val), tuple(test), tuple(pool), fold, num_folds)
            groups.append(
                [
                    Split(space, dataset, flavour, seed, t, tuple(order[:num_train]), *parts)
                    for t, order in orders.items()
                ]
            )
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
