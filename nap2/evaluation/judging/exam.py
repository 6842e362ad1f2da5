"""What is asked (the test candidates) and what is answered (predictions): the two sides of every protocol."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from nap2.errors import EvaluationError

Floats = NDArray[np.float64]

HOLDOUT = "holdout"
"""The protocol of a fixed test set."""

SAMPLE = "sample"
"""The flavour of candidates that belong to no split."""


def split_name(flavour: str, protocol: str) -> str:
    """How titles name a split: `functional 5-fold split`, with what is special about its draw at the end."""
    if flavour == SAMPLE:
        return flavour
    kind, *special = protocol.split(", ")
    return ", ".join((f"{flavour} split" if kind == HOLDOUT else f"{flavour} {kind} split", *special))


@dataclass(frozen=True, eq=False, kw_only=True)
class ExamFacts:
    """What all result rows of one exam have in common.

    Attributes:
        space: search space.
        target: dataset whose accuracies judge.
        flavour: of the split that the test candidates belong to; `sample` where there is none.
        protocol: `holdout`: a fixed test set; e.g. `5-fold`: out-of-fold predictions, pooled over the folds first;
            what is special about the draw follows after commas.
        split_seed: by which the split was drawn; None where there is none, or a checkpoint does not say.
        recipe: how the candidates were trained.
        skeleton: sizes of their networks that are not the published ones (`stem_channels 8`); empty: all are.
        label: accuracies `imported` from a table (published ones, or a user's own), or `measured` in the store.
        stand_in: whether the candidates were trained on a stand-in of the dataset whose accuracies judge them.
        versions: of the libraries that matter.
        commit: of the code.
        date: ISO 8601, UTC.
    """

    space: str
    target: str
    flavour: str = SAMPLE
    protocol: str = HOLDOUT
    split_seed: int | None = None
    recipe: str = ""
    skeleton: str = ""
    label: str = "imported"
    stand_in: bool = False
    versions: Mapping[str, str] = field(default_factory=dict)
    commit: str = ""
    date: str = ""


@dataclass(frozen=True, eq=False, kw_only=True)
class Exam(ExamFacts):
    """The test candidates that every method is judged on.

    Attributes:
        truth: float64 `[A]`, final accuracies as fractions.
    """

    truth: Floats


@dataclass(frozen=True, eq=False, kw_only=True)
class MethodFacts:
    """What all result rows of one method have in common.

    Attributes:
        method: name of the predictor, proxy or reference.
        source: dataset (or store) that it was fitted on; empty: on nothing.
        train_size: labelled candidates that it was fitted on.
        cae_pool: pool that its encoders were fitted on; empty: there are none.
        encoder: their kind (cae, pca, random); empty: there are none.
        init_time_s: seconds to train the training candidates and fit the method, CAE included; None: not measured.
        query_forwards: forward passes of one mini-batch per candidate; None: not counted.
        note: what else a reader must know.
    """

    method: str
    source: str = ""
    train_size: int = 0
    cae_pool: str = ""
    encoder: str = ""
    init_time_s: float | None = None
    query_forwards: float | None = None
    note: str = ""


@dataclass(frozen=True, eq=False, kw_only=True)
class Predictions(MethodFacts):
    """What one method says about the test candidates.

    Attributes:
        values: float64 `[trials, Q, A]`; more is better; NaN where the method could not score a candidate.
        query_batches: `[Q]`, ascending: mini-batches seen of each candidate.
        snapshots: `[Q]`; empty: none was needed.
        seeds: `[trials]`.
        trials: `[trials]`, indices; empty: 0, 1, ….
        query_time_s: `[Q]`, seconds per candidate; empty: not measured.
    """

    values: Floats
    query_batches: tuple[int, ...] = (0,)
    snapshots: tuple[int, ...] = ()
    seeds: tuple[int, ...] = (0,)
    trials: tuple[int, ...] = ()
    query_time_s: tuple[float | None, ...] = ()

    def __post_init__(self) -> None:
        budgets = len(self.query_batches)
        object.__setattr__(self, "snapshots", self.snapshots or (0,) * budgets)
        object.__setattr__(self, "trials", self.trials or tuple(range(len(self.seeds))))
        object.__setattr__(self, "query_time_s", self.query_time_s or (None,) * budgets)

    def place_at_most(self, budget: int) -> int | None:
        """Index of the largest budget that is not above `budget`; None if there is none."""
        places = [place for place, batches in enumerate(self.query_batches) if batches <= budget]
        return places[-1] if places else None


def scored_by_all(values: Floats, truth: Floats) -> tuple[Floats, Floats]:
    """Predictions `[trials, A']` and truth `[A']` of the candidates that were scored in every trial."""
    scored = np.isfinite(values).all(axis=0)
    return values[:, scored], truth[scored]


def check_shapes(predictions: Predictions, exam: Exam) -> None:
    """Refuse predictions whose sizes do not belong together, or not to the exam."""
    trials, budgets = len(predictions.seeds), len(predictions.query_batches)
    expected = (trials, budgets, exam.truth.size)
    if predictions.values.shape != expected:
        raise EvaluationError(
            f"The predictions of {predictions.method} have the shape {predictions.values.shape}; {trials} trials,"
            f" {budgets} budgets and {exam.truth.size} test candidates make {expected}; give a value for each."
        )
    for name, given, size in (
        ("snapshots", predictions.snapshots, budgets),
        ("query times", predictions.query_time_s, budgets),
        ("trials", predictions.trials, trials),
    ):
        if len(given) != size:
            raise EvaluationError(f"{predictions.method} has {len(given)} {name}; give {size}.")
    if list(predictions.query_batches) != sorted(set(predictions.query_batches)):
        raise EvaluationError(
            f"The budgets of {predictions.method} are not ascending: {predictions.query_batches}; sort them, each once."
        )
