"""Which candidates a predictor may learn from, which choose its stopping point, and which judge it.

Three flavours (App. D.4, E.1). `paper` draws architectures at random. `isomorphic` and `functional` keep every class of
equal cells on one side, because a random split shows a predictor the twins of its test candidates.
"""

import json
import os
from collections.abc import Callable, Collection, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from nap2.errors import DataFileError, EvaluationError, UnknownNameError
from nap2.evaluation.splitting.strata import strata_of, stratified_order, without_classes

FLAVOURS = ("paper", "isomorphic", "functional")
TRAIN_SIZES = (50, 100, 200, 300, 400, 500, 600, 700)  # App. E.1, Table 19
NUM_VAL = 100  # App. D.4, Table 18
NUM_TEST = 200  # App. D.4, Table 18
NUM_TRIALS = 10  # App. E.1
SPLIT_SEED = 42  # App. E.2, Table 20

ClassOf = Callable[[str], str]


@dataclass(frozen=True)
class Split:
    """One trial of one flavour; every list holds arch strings.

    Attributes:
        space: search space.
        dataset: whose accuracies the candidates were stratified by.
        flavour: one of `FLAVOURS`.
        seed: of the choice of `val` and `test`, which all trials share.
        trial: fixes the order of `train`.
        train: in the order in which candidates are added: `train_of(n)` is its first n, so sizes are nested.
        val: chooses the epoch at which training stops.
        test: judges.
        pool: whatever any trial may train on, sorted; what is fitted once for all trials is fitted on it.
        fold: which part of a cross-validation `test` is; 0 where there are no folds.
        num_folds: parts of the cross-validation; 0: a fixed test set.
    """

    space: str
    dataset: str
    flavour: str
    seed: int
    trial: int
    train: tuple[str, ...]
    val: tuple[str, ...]
    test: tuple[str, ...]
    pool: tuple[str, ...]
    fold: int = 0
    num_folds: int = 0

    def train_of(self, size: int) -> tuple[str, ...]:
        """The first `size` training candidates."""
        if not 1 <= size <= len(self.train):
            raise EvaluationError(
                f"The {self.flavour} split of {self.space}/{self.dataset} has {len(self.train)} training candidates;"
                f" {size} were asked for: choose a train size from 1 to {len(self.train)}."
            )
        return self.train[:size]

    def save(self, path: Path) -> None:
        """Write the split as JSON, replacing the file atomically."""
        path.parent.mkdir(parents=True, exist_ok=True)
        staged = path.with_name(f".{path.name}.{os.getpid()}")
        staged.write_text(json.dumps(asdict(self), indent=1) + "\n", encoding="utf-8")
        staged.replace(path)

    @classmethod
    def load(cls, path: Path) -> "Split":
        """Read a split written by `save`.

        Raises:
            DataFileError: a file that is missing, or no split.
        """
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            content |= {name: tuple(map(str, content[name])) for name in ("train", "val", "test", "pool")}
            return cls(**content)
        except FileNotFoundError as error:
            raise DataFileError(f"There is no split at {path}.") from error
        except (ValueError, KeyError, AttributeError, TypeError) as error:
            raise DataFileError(
                f"{path} is not a saved split ({error}): delete it and let it be drawn again."
            ) from error


def make_splits(
    accuracies: Mapping[str, float],
    space: str,
    dataset: str,
    flavour: str = "functional",
    class_of: ClassOf | None = None,
    *,
    num_train: int | None = TRAIN_SIZES[-1],
    num_val: int = NUM_VAL,
    num_test: int = NUM_TEST,
    num_trials: int = NUM_TRIALS,
    seed: int = SPLIT_SEED,
) -> list[Split]:
    """Draw one split per trial, each part proportional over the deciles of accuracy.

    The result depends on the set of candidates and not on its order. All flavours share the test set of a dataset, so
    what separates their figures is the leak alone.

    Args:
        accuracies: label of every candidate, as a fraction; a candidate without one is left out by the caller.
        space: name of the search space.
        dataset: name of the dataset that the accuracies belong to.
        flavour: one of `FLAVOURS`.
        class_of: the class key of an arch string; required unless the flavour is `paper`.
        num_train: the largest train size; None: the whole pool.
        num_val: validation candidates.
        num_test: test candidates; 0 for what is tested elsewhere, or shipped.
        num_trials: orders of the training candidates.
        seed: of the choice of validation and test candidates, and of the trials' orders.

    Raises:
        EvaluationError: fewer candidates than the sizes need, in one line.
        UnknownNameError: a flavour that does not exist.
    """
    keys = class_keys(accuracies, flavour, class_of)
    strata = strata_of(accuracies)
    test = stratified_order(sorted(accuracies), strata, ("test", space, dataset, seed))[:num_test]
    open_to_fit = without_classes(sorted(accuracies), {keys[arch] for arch in test}, keys.__getitem__)
    rest = stratified_order(open_to_fit, strata, ("val", space, dataset, seed))
    val = rest[:num_val]
    pool = sorted(without_classes(rest, {keys[arch] for arch in val}, keys.__getitem__))
    title = f"the {flavour} split of {space}/{dataset}"
    refuse_too_few(title, len(accuracies), (num_train or 2, num_val, num_test), (len(pool), len(val), len(test)))
    orders = [stratified_order(pool, strata, ("train", space, dataset, seed, trial)) for trial in range(num_trials)]
    return [
        Split(space, dataset, flavour, seed, trial, tuple(order[:num_train]), tuple(val), tuple(test), tuple(pool))
        for trial, order in enumerate(orders)
    ]


def check_split(split: Split, class_of: ClassOf | None = None) -> None:
    """Refuse a split whose parts overlap, or share a class where its flavour forbids it.

    Raises:
        EvaluationError: naming the first arch string that stands on two sides.
    """
    if split.flavour != "paper" and class_of is None:
        raise EvaluationError(f"Checking a {split.flavour} split needs its class function; none was given.")
    key = class_of if class_of and split.flavour != "paper" else str
    for name, arch_strs in (("train", split.train), ("validation", split.val), ("test", split.test)):
        if len(set(arch_strs)) < len(arch_strs):
            raise EvaluationError(f"The {name} candidates of {_title(split)} hold an architecture twice.")
    if not set(split.train) <= set(split.pool):
        raise EvaluationError(f"The pool of {_title(split)} lacks some of its training candidates.")
    _refuse_shared(split, key, split.test, (*split.pool, *split.val), "test and train or validation")
    _refuse_shared(split, key, split.val, split.pool, "validation and train")


def _refuse_shared(split: Split, key: ClassOf, left: Collection[str], right: Collection[str], sides: str) -> None:
    seen = {key(arch) for arch in left}
    for arch in right:
        if key(arch) in seen:
            raise EvaluationError(f"{arch} of {_title(split)} has its class in both {sides}: draw the split again.")


def refuse_too_few(title: str, labelled: int, asked: tuple[int, int, int], given: tuple[int, int, int]) -> None:
    """Refuse a split whose parts (train, validation, test) are smaller than those asked for."""
    if any(have < want for have, want in zip(given, asked, strict=True)):
        wanted, had = (" + ".join(map(str, sizes)) for sizes in (asked, given))
        raise EvaluationError(
            f"{title[0].upper()}{title[1:]} asks for {wanted} candidates (train, validation, test); the {labelled} with"
            f" a label give {had}: ask for fewer, or train more candidates."
        )


def _title(split: Split) -> str:
    return f"the {split.flavour} split of {split.space}/{split.dataset}"


def class_keys(accuracies: Mapping[str, float], flavour: str, class_of: ClassOf | None) -> dict[str, str]:
    """The class of each candidate under a flavour; every candidate is its own under `paper`.

    Raises:
        UnknownNameError: a flavour that does not exist.
        EvaluationError: a candidate without an accuracy, or no class function where one is needed.
    """
    if flavour not in FLAVOURS:
        raise UnknownNameError("split flavour", flavour, FLAVOURS)
    missing = sum(not np.isfinite(value) for value in accuracies.values())
    if missing:
        raise EvaluationError(
            f"{missing} of {len(accuracies)} candidates have no accuracy: leave them out of the split."
        )
    if flavour == "paper":
        return {arch: arch for arch in accuracies}
    if class_of is None:
        raise EvaluationError(f"A {flavour} split needs a class function of the search space; none was given.")
    return {arch: class_of(arch) for arch in accuracies}
