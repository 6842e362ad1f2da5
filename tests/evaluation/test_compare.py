"""Two files of predictions are compared on what they have in common, as one evaluation compares two of its methods."""

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from nap2.errors import EvaluationError, UnknownNameError
from nap2.evaluation.compare import Side, compare, sentence
from nap2.evaluation.judging.differences import differences
from nap2.evaluation.judging.exam import Exam, Predictions
from nap2.evaluation.judging.metrics import kendall_tau
from nap2.evaluation.records.difference_log import read_differences, read_lines
from nap2.evaluation.records.prediction_file import write_predictions
from nap2.provenance import commit

ARCHS = [f"arch {place}" for place in range(40)]
TRUTH = np.random.default_rng(0).uniform(size=40)


def method(noise, trials=3, name="nap2", seed=1):
    values = TRUTH + noise * np.random.default_rng(seed).normal(size=(trials, 2, 40))
    return Predictions(method=name, values=values, query_batches=(1, 100), seeds=tuple(range(trials)))


def written(path, one, order=None):
    order = np.arange(40) if order is None else order
    shuffled = Predictions(
        method=one.method, values=one.values[:, :, order], query_batches=one.query_batches, seeds=one.seeds
    )
    write_predictions(path, [ARCHS[place] for place in order], TRUTH[order], [shuffled])
    return path


@pytest.fixture
def files(tmp_path):
    return written(tmp_path / "a.csv", method(0.1)), written(tmp_path / "b.csv", method(0.9, seed=2))


def test_it_is_the_difference_that_one_evaluation_finds(files):
    good, bad = method(0.1, name="good"), method(0.9, name="bad", seed=2)
    exam = Exam(space="nasbench201", target="cifar10", truth=TRUTH)
    expected = differences([good], bad, exam)[0]
    found = compare(Side.of(files[0], "nap2"), Side.of(files[1], "nap2")).difference
    assert found.interval == expected.interval
    assert found.verdict == "better"


def test_the_order_of_the_candidates_does_not_matter_to_the_difference(files, tmp_path):
    turned = written(tmp_path / "turned.csv", method(0.9, seed=2), np.random.default_rng(5).permutation(40))
    one, other = (compare(Side.of(files[0], "nap2"), Side.of(path, "nap2")) for path in (turned, files[1]))
    assert one.difference.interval == other.difference.interval


def test_only_common_candidates_judge(files, tmp_path):
    few = np.arange(10, 25)
    part = written(tmp_path / "part.csv", method(0.9, seed=2), few)
    compared = compare(Side.of(files[0], "nap2@100"), Side.of(part, "nap2@100"))
    found = compared.difference
    own, other = method(0.1).values[:, 1][:, few], method(0.9, seed=2).values[:, 1][:, few]
    taus = [np.mean([kendall_tau(trial, TRUTH[few]) for trial in side]) for side in (own, other)]
    assert found.num_test == 15
    assert found.interval.value == pytest.approx(taus[0] - taus[1])
    assert compared.values == pytest.approx(taus)


def test_a_budget_may_be_named(files):
    found = compare(Side.of(files[0], "nap2@1"), Side.of(files[0], "nap2")).difference
    assert (found.query_batches, found.against_batches) == (1, 100)


def test_what_cannot_be_compared_is_refused(files, tmp_path):
    first = Side.of(files[0], "nap2")
    write_predictions(tmp_path / "c.csv", ARCHS, TRUTH + 0.1, [method(0.1)])
    with pytest.raises(EvaluationError, match="by other accuracies"):
        compare(first, Side.of(tmp_path / "c.csv", "nap2"))
    write_predictions(tmp_path / "d.csv", [name.upper() for name in ARCHS], TRUTH, [method(0.1)])
    with pytest.raises(EvaluationError, match="0 candidates were scored by both; 3 are needed"):
        compare(first, Side.of(tmp_path / "d.csv", "nap2"))
    with pytest.raises(UnknownNameError, match="nap3"):
        compare(first, Side.of(files[1], "nap3"))


def test_the_command_says_it_in_one_line(files):
    command = [sys.executable, "-m", "nap2.evaluation.compare", str(files[0]), "nap2", str(files[1]), "nap2@1"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    compared = compare(Side.of(files[0], "nap2"), Side.of(files[1], "nap2@1"))
    expected = sentence(compared, *files)
    assert (done.stdout, done.returncode) == (expected + "\n", 0)
    assert (
        f"against nap2 of {files[1]} after 1: Kendall τ {compared.values[0]:.3f} against {compared.values[1]:.3f}, +"
        in expected
    )
    refused = subprocess.run([*command[:-1], "nap3"], capture_output=True, text=True, check=False)
    assert refused.returncode == 1
    assert refused.stderr.startswith("error: ")
    assert refused.stderr.count("\n") == 1


def test_numbers_that_there_are_not_are_not_printed(files, tmp_path):
    flat, mark = np.ones((1, 2, 40)), np.ones((1, 2, 40))
    mark[:, :, TRUTH.argmin()] = 0.0  # a third of the bootstrap's rounds do not draw it
    given = (("flat", flat), ("mark", mark), ("good", method(0.1, trials=1).values))
    path = tmp_path / "undefined.csv"
    write_predictions(path, ARCHS, TRUTH, [replace(method(0.1, trials=1, name=n), values=v) for n, v in given])
    compared = {name: compare(Side.of(path, name), Side.of(path, "good")) for name in ("flat", "mark")}
    good, gap = compared["mark"].values[1], compared["mark"].difference.interval.value
    assert compared["flat"].values[1] == good == pytest.approx(kendall_tau(given[2][1][0, 1], TRUTH))
    flat_said, mark_said = (sentence(one, path, path).partition("τ ")[2] for one in compared.values())
    assert flat_said == f"undefined against {good:.3f} over 40 candidates: undefined"
    assert mark_said.endswith(f" against {good:.3f}, {gap:+.3f} without interval over 40 candidates: undefined")


def test_a_difference_can_be_kept_for_a_page(files, tmp_path):
    command = [sys.executable, "-m", "nap2.evaluation.compare", str(files[0]), "nap2", str(files[1]), "nap2"]
    log = tmp_path / "section/differences.jsonl"
    for _ in range(2):  # said twice it is one
        asked = [*command, "--keep", str(log), "--size", "196", "--sources", "cifar10", "cifar10, under sgd"]
        subprocess.run(asked, check=True, capture_output=True)
    found = compare(Side.of(files[0], "nap2"), Side.of(files[1], "nap2")).difference
    assert read_differences(log, 196) == [replace(found, source="cifar10", against_source="cifar10, under sgd")]
    assert {line["commit"] for line in read_lines(log)} == {commit()}


def test_what_could_not_be_kept_or_shown_is_refused_in_a_line(files, tmp_path):
    command = [sys.executable, "-m", "nap2.evaluation.compare", str(files[0]), "nap2", str(files[1]), "nap2"]
    for asked, status, reason in (
        (["--keep", str(tmp_path / "differences.jsonl")], 2, "--keep needs --size"),
        (["--keep", str(files[0] / "differences.jsonl"), "--size", "196"], 1, "error: [Errno"),
    ):
        done = subprocess.run([*command, *asked], capture_output=True, text=True, check=False)
        assert (done.returncode, reason in done.stderr.splitlines()[-1]) == (status, True)
    assert not (tmp_path / "differences.jsonl").exists()
