"""What every method said of every test candidate: one CSV line a candidate, for a reader's own analysis.

Beside `arch_str` and `accuracy` a column per method, budget and trial, named `<method> @<mini-batches> #<trial>`: more
is better; empty where a method could not score the candidate.
"""

import csv
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from nap2.errors import DataFileError, EvaluationError, UnknownNameError
from nap2.evaluation.judging.exam import Floats, Predictions
from nap2.evaluation.records.csv_text import to_csv
from nap2.snapshots.disk import write_atomically

COLUMN = re.compile(r"(?P<method>.+) @(?P<batches>\d+) #(?P<trial>\d+)")
CANDIDATE = ["arch_str", "accuracy"]


@dataclass(frozen=True, eq=False)
class PredictionFile:
    """One file as arrays.

    Attributes:
        arch_strs: `[A]`.
        accuracy: float64 `[A]`, final accuracies as fractions.
        scores: float64 `[trials, A]` by method and mini-batches seen; NaN where there is none.
    """

    arch_strs: tuple[str, ...]
    accuracy: Floats
    scores: Mapping[tuple[str, int], Floats]

    def of(self, method: str, batches: int | None = None) -> tuple[int, Floats]:
        """The mini-batches seen and the scores `[trials, A]` of a method, at its largest budget unless one is named.

        Raises:
            UnknownNameError: a method that the file does not hold.
            EvaluationError: a budget that the method has no scores of.
        """
        budgets = sorted(seen for name, seen in self.scores if name == method)
        if not budgets:
            raise UnknownNameError("method of these predictions", method, {name for name, _ in self.scores})
        if batches is None:
            batches = budgets[-1]
        if batches not in budgets:
            raise EvaluationError(
                f"{method} was not asked after {batches} mini-batches; there are {', '.join(map(str, budgets))}."
            )
        return batches, self.scores[method, batches]


def write_predictions(path: Path, arch_strs: Sequence[str], truth: Floats, methods: Sequence[Predictions]) -> None:
    """Write the answers of all methods to one exam; the file is replaced in one step.

    Args:
        path: of the CSV.
        arch_strs: `[A]`, the test candidates.
        truth: float64 `[A]`, their final accuracies as fractions.
        methods: what each says of them.
    """
    columns: dict[str, Floats] = {}
    for one in methods:
        for trial, by_budget in zip(one.trials, one.values, strict=True):
            for batches, values in zip(one.query_batches, by_budget, strict=True):
                columns[f"{one.method} @{batches} #{trial}"] = values
    table = np.stack([truth, *columns.values()], axis=1).tolist()
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = ([arch_str, *line] for arch_str, line in zip(arch_strs, table, strict=True))
    write_atomically(path, to_csv([*CANDIDATE, *columns], rows).encode())


def read_predictions(path: Path) -> PredictionFile:
    """What `write_predictions` wrote.

    Raises:
        DataFileError: a file that is missing or of another form.
    """
    try:
        with path.open(newline="", encoding="utf-8") as file:
            header, *lines = csv.reader(file)
        series = [_series(name) for name in header[2:]]
        table = np.array([[float(cell or "nan") for cell in line[1:]] for line in lines], np.float64)
        if header[:2] != CANDIDATE or table.shape != (len(lines), len(header) - 1):
            raise ValueError(f"columns {', '.join(header[:2])}, {len(lines)} lines")
    except OSError as error:
        raise DataFileError(f"No predictions at {path} ({error.strerror}): run stage=evaluate first.") from error
    except (ValueError, csv.Error) as error:
        raise DataFileError(
            f"{path} holds no predictions of stage=evaluate ({error}); give one of its predictions-*.csv."
        ) from error
    scores: dict[tuple[str, int], list[Floats]] = {}
    for key, values in zip(series, table.T[1:], strict=True):
        scores.setdefault(key, []).append(values)
    return PredictionFile(
        tuple(line[0] for line in lines), table[:, 0], {key: np.stack(trials) for key, trials in scores.items()}
    )


def _series(name: str) -> tuple[str, int]:
    found = COLUMN.fullmatch(name)
    if found is None:
        raise ValueError(f"column {name!r}")
    return found["method"], int(found["batches"])
