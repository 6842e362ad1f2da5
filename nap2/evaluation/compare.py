"""Two methods of two evaluations on the candidates that both tested: is one better?

`python -m nap2.evaluation.compare FIRST.csv METHOD SECOND.csv METHOD` reads `predictions-*.csv` of `stage=evaluate`, of
one run or of two: other statistics, other encoders, other numbers of mini-batches. `METHOD@50` names a budget, which is
the largest otherwise. `--keep SECTION/differences.jsonl` adds the result to what a page of results says of differences.
"""

import argparse
import sys
from dataclasses import dataclass, replace
from math import isfinite
from pathlib import Path

import numpy as np

from nap2.errors import EvaluationError, Nap2Error, counted
from nap2.evaluation.judging.bootstrap import ROUNDS, Interval, paired_difference
from nap2.evaluation.judging.differences import Difference
from nap2.evaluation.judging.exam import scored_by_all
from nap2.evaluation.judging.metrics import TAU
from nap2.evaluation.records.difference_log import append_differences
from nap2.evaluation.records.prediction_file import PredictionFile, read_predictions
from nap2.provenance import commit

FEWEST = 3
"""Candidates that a comparison of two rankings needs."""


@dataclass(frozen=True, eq=False)
class Side:
    """A method in a file of predictions, at one budget or at its largest."""

    file: PredictionFile
    method: str
    batches: int | None = None

    @classmethod
    def of(cls, path: Path, text: str) -> "Side":
        """`METHOD` or `METHOD@BATCHES` in the file at `path`."""
        method, _, batches = text.rpartition("@")
        named = method and batches.isdigit()
        return cls(read_predictions(path), *((method.strip(), int(batches)) if named else (text,)))


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two methods on the candidates that both tested.

    Attributes:
        difference: of the first minus the second, paired.
        values: of the first and of the second, on the same candidates: means over trials; NaN where undefined.
    """

    difference: Difference
    values: tuple[float, float]


def compare(first: Side, second: Side, seed: int = 0) -> Comparison:
    """Kendall's τ of the first minus that of the second, paired over the candidates that all trials of both scored.

    Raises:
        UnknownNameError, EvaluationError: a method or budget that is not there, too few common candidates, or
            candidates that the two files give other accuracies.
    """
    place = {arch_str: index for index, arch_str in enumerate(second.file.arch_strs)}
    mine = np.array([i for i, arch_str in enumerate(first.file.arch_strs) if arch_str in place], np.int64)
    theirs = np.array([place[first.file.arch_strs[i]] for i in mine], np.int64)
    truth = first.file.accuracy[mine]
    if not np.array_equal(truth, second.file.accuracy[theirs]):
        raise EvaluationError("The two files judge the same candidates by other accuracies; compare runs of one label.")
    seen, own = first.file.of(first.method, first.batches)
    against_seen, other = second.file.of(second.method, second.batches)
    scores, accuracy = scored_by_all(np.concatenate([own[:, mine], other[:, theirs]]), truth)
    if accuracy.size < FEWEST:
        raise EvaluationError(
            f"{accuracy.size} candidates were scored by both; {FEWEST} are needed to compare rankings: test more."
        )
    pair = scores[: len(own)], scores[len(own) :]
    found = paired_difference(*pair, accuracy, ROUNDS, seed)
    value, against = (float(np.mean([TAU.score(trial, accuracy) for trial in side])) for side in pair)
    facts = (first.method, second.method, TAU.name, seen, against_seen)
    return Comparison(Difference(*facts, found, accuracy.size), (value, against))


def sentence(comparison: Comparison, first: Path, second: Path) -> str:
    """The result in words, with the files where two methods of one name are compared."""
    found, named = comparison.difference, comparison.difference.method == comparison.difference.against
    value, other = (f"{tau:.3f}" if isfinite(tau) else "undefined" for tau in comparison.values)
    where = [f" of {path}" if named and first != second else "" for path in (first, second)]
    return (
        f"{found.method}{where[0]} after {counted(found.query_batches, 'mini-batch', 'mini-batches')}, against "
        f"{found.against}{where[1]} after {found.against_batches}: Kendall τ {value} against {other}"
        f"{_gap(found.interval)} over {found.num_test} candidates: {found.verdict}"
    )


def _gap(one: Interval) -> str:
    """The difference and its bounds, as far as there are such numbers."""
    if not isfinite(one.value):
        return ""
    return f", {one.value:+.3f} " + (f"[{one.low:+.3f}, {one.high:+.3f}]" if isfinite(one.low) else "without interval")


if __name__ == "__main__":
    parser = argparse.ArgumentParser("python -m nap2.evaluation.compare", description=__doc__)
    for name in ("first", "second"):
        parser.add_argument(name, type=Path, help="a predictions-*.csv of stage=evaluate")
        parser.add_argument(f"method_of_{name}", help="as in its columns, with @<mini-batches> for one budget")
    parser.add_argument("--keep", type=Path, metavar="FILE", help="JSON lines to which the difference is added")
    parser.add_argument("--size", type=int, help="what it is kept under: labels that both were fitted on")
    parser.add_argument("--sources", nargs=2, default=("", ""), metavar="SOURCE", help="likewise: fitted on what")
    asked = parser.parse_args()
    if asked.keep and not asked.size:
        parser.error("--keep needs --size: a page shows differences by the labels that its methods were fitted on")
    try:
        sides = Side.of(asked.first, asked.method_of_first), Side.of(asked.second, asked.method_of_second)
        result = compare(*sides)
        sys.stdout.write(sentence(result, asked.first, asked.second) + "\n")
        if asked.keep:
            source, against = asked.sources
            kept = replace(result.difference, source=source, against_source=against)
            append_differences(asked.keep, [kept], asked.size, commit())
    except (Nap2Error, OSError) as error:
        sys.exit(f"error: {error}")
