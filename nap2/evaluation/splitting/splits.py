"""Which candidates a predictor may learn from, which choose its stopping point, and which judge it.

Three flavours (App. D.4, E.1). `paper` draws architectures at random. `isomorphic` and `functional` keep every class of
equal cells on one side, because a random split shows a predictor the twins of its test candidates.
"""

import json
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path

from nap2.errors import DataFileError, EvaluationError
from nap2.evaluation.splitting.strata import strata_of, stratified_order, without_classes
from nap2.snapshots.disk import write_atomically

FLAVOURS = ("paper", "isomorphic", "functional")

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
        write_atomically(path, (json.dumps(asdict(self), indent=1) + "\n").encode())

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
            raise DataFileError(f"There is no split at {path}; draw one (make_splits) and save it there.") from error
        except (ValueError, KeyError, AttributeError, TypeError) as error:
            raise DataFileError(
                f"{path} is not a saved split ({error}): delete it and let it be drawn again."
            ) from error


@dataclass(frozen=True)
class Draw:
    """What splits are drawn from, and how large their parts are. The order of the candidates changes nothing.

    Attributes:
        accuracies: label of every candidate, as a fraction; a candidate without one is left out by the caller.
        space: name of the search space.
        dataset: name of the dataset that the accuracies belong to.
        flavour: one of `FLAVOURS`.
        class_of: the flavour's class key of an arch string; for `paper` the string itself (`str`).
        num_train: the largest train size; None: the whole pool.
        num_val: validation candidates.
        num_trials: orders of the training candidates.
        seed: of the choice of test and validation candidates, and of the trials' orders.
        judges: the only ones that may test or validate, the others train; None: all.
    """

    accuracies: Mapping[str, float]
    space: str
    dataset: str
    flavour: str
    class_of: ClassOf
    num_train: int | None
    num_val: int
    num_trials: int
    seed: int
    judges: Collection[str] | None = None

    @cached_property
    def keys(self) -> dict[str, str]:
        """The class of each candidate."""
        return {arch: self.class_of(arch) for arch in self.accuracies}

    def may_judge(self, arch_strs: Iterable[str]) -> list[str]:
        """Those that may test or validate, in their order."""
        return [arch for arch in arch_strs if self.judges is None or arch in self.judges]

    def order(self, arch_strs: Sequence[str], part: str, *purpose: object) -> list[str]:
        """A random order of some candidates in which every prefix is proportional over the deciles of all."""
        whole = (part, self.space, self.dataset, self.seed, *purpose)
        return stratified_order(arch_strs, strata_of(self.accuracies), whole)

    def around(
        self,
        test: Sequence[str],
        trials: Iterable[int],
        num_test: int = 1,
        fold: int = 0,
        num_folds: int = 0,
        purpose: tuple[object, ...] = (),
    ) -> list[Split]:
        """A split per trial that is tested on `test`; validation and pool come from what shares no class with it.

        Args:
            test: test candidates.
            trials: indices; each has its own order of the pool.
            num_test: how many were to be tested.
            fold: which part of a cross-validation `test` is.
            num_folds: parts of it; 0: a fixed test set.
            purpose: what the orders depend on, beside space, dataset, seed and trial.

        Raises:
            EvaluationError: fewer candidates than the sizes need.
        """
        rest = self._without(sorted(self.accuracies), test)
        val = self.of_judges.order(self.may_judge(rest), "val", *purpose)[: self.num_val]
        pool = sorted(self._without(rest, val))
        asked, given = (self.num_train or 2, self.num_val, num_test), (len(pool), len(val), len(test))
        if any(have < want for have, want in zip(given, asked, strict=True)):
            wanted, had = (" + ".join(map(str, sizes)) for sizes in (asked, given))
            title = f"Fold {fold + 1} of {num_folds} of the" if num_folds else "The"
            each_once = (
                "" if num_folds else " (split.folds=5 split.train_sizes=[0] and a small split.val_size test each once)"
            )
            raise EvaluationError(
                f"{title} {self.flavour} split of {self.space}/{self.dataset} asks for {wanted} candidates (train, "
                f"validation, test); the {len(self.accuracies)} with a label{self._of_which} give {had}: ask for "
                f"fewer{each_once}, train more candidates, or import the accuracies of more (stage=truth)."
            )
        named, parts = (self.space, self.dataset, self.flavour, self.seed), (tuple(val), tuple(test), tuple(pool))
        orders = {trial: tuple(self.order(pool, "train", *purpose, trial)) for trial in trials}
        return [Split(*named, t, order[: self.num_train], *parts, fold, num_folds) for t, order in orders.items()]

    @cached_property
    def of_judges(self) -> "Draw":
        """Of these alone: who tests and who validates depends on nothing that only trains."""
        return replace(self, accuracies={arch: self.accuracies[arch] for arch in self.may_judge(self.accuracies)})

    @property
    def _of_which(self) -> str:
        number = len(self.may_judge(self.accuracies))
        return "" if number == len(self.accuracies) else f" (of which {number} have the snapshots to be tested)"

    def _without(self, arch_strs: Sequence[str], others: Iterable[str]) -> list[str]:
        return without_classes(arch_strs, {self.keys[arch] for arch in others}, self.keys.__getitem__)


def make_splits(asked: Draw, num_test: int) -> list[Split]:
    """Draw one split per trial, each part proportional over the deciles of accuracy.

    All flavours share the test set of a dataset, so what separates their figures is the leak alone.

    Args:
        asked: candidates and sizes.
        num_test: test candidates; 0 for what is tested elsewhere, or shipped.

    Raises:
        EvaluationError: fewer candidates than the sizes need, in one line.
    """
    test = asked.of_judges.order(sorted(asked.may_judge(asked.accuracies)), "test")[:num_test]
    return asked.around(test, range(asked.num_trials), num_test)


def check_split(split: Split, class_of: ClassOf) -> None:
    """Refuse a split whose parts overlap, or share a class of its flavour (`class_of` as in `Draw`).

    Raises:
        EvaluationError: naming the first arch string that stands on two sides.
    """
    for name, arch_strs in (("train", split.train), ("validation", split.val), ("test", split.test)):
        if len(set(arch_strs)) < len(arch_strs):
            raise EvaluationError(
                f"The {name} candidates of {_title(split)} hold an architecture twice: draw it again."
            )
    if not set(split.train) <= set(split.pool):
        raise EvaluationError(f"The pool of {_title(split)} lacks some of its training candidates: draw it again.")
    _refuse_shared(split, class_of, split.test, (*split.pool, *split.val), "test and train or validation")
    _refuse_shared(split, class_of, split.val, split.pool, "validation and train")


def _refuse_shared(split: Split, class_of: ClassOf, left: Collection[str], right: Collection[str], sides: str) -> None:
    seen = {class_of(arch) for arch in left}
    for arch in right:
        if class_of(arch) in seen:
            raise EvaluationError(f"{arch} of {_title(split)} has its class in both {sides}: draw the split again.")


def _title(split: Split) -> str:
    return f"the {split.flavour} split of {split.space}/{split.dataset}"
