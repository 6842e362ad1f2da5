"""What was predicted of each candidate can be read back, to the last digit, by anyone."""

import csv

import numpy as np
import pytest

from nap2.errors import DataFileError, EvaluationError, UnknownNameError
from nap2.evaluation.judging.exam import Predictions
from nap2.evaluation.records.prediction_file import read_predictions, write_predictions

ARCHS = ["|a,b|", 'quoted "c"', "é"]
TRUTH = np.array([0.1, 0.9, 1 / 3])
OURS = Predictions(
    method="nap2 (pca encoder) @ home #1",
    values=np.arange(12, dtype=np.float64).reshape(2, 2, 3) / 7,
    query_batches=(50, 100),
    seeds=(11, 12),
    trials=(0, 3),
)
SIZE = Predictions(method="parameters", values=np.array([[[2.0, np.nan, 1.0]]]))


@pytest.fixture
def path(tmp_path):
    write_predictions(tmp_path / "new folder" / "predictions-n5.csv", ARCHS, TRUTH, [OURS, SIZE])
    return tmp_path / "new folder" / "predictions-n5.csv"


def test_every_digit_comes_back(path):
    found = read_predictions(path)
    assert list(found.arch_strs) == ARCHS
    np.testing.assert_array_equal(found.accuracy, TRUTH)
    for place, batches in enumerate(OURS.query_batches):
        seen, scores = found.of(OURS.method, batches)
        assert seen == batches
        np.testing.assert_array_equal(scores, OURS.values[:, place])
    np.testing.assert_array_equal(found.of("parameters")[1], SIZE.values[:, 0])


def test_the_largest_budget_is_meant_unless_one_is_named(path):
    assert read_predictions(path).of(OURS.method)[0] == 100


def test_anyone_can_read_it_line_by_line(path):
    with path.open(newline="") as file:
        lines = list(csv.DictReader(file))
    assert [line["arch_str"] for line in lines] == ARCHS
    assert lines[1]["parameters @0 #0"] == ""
    assert float(lines[2][f"{OURS.method} @100 #3"]) == OURS.values[1, 1, 2]


def test_nothing_but_the_file_is_left(path):
    assert [one.name for one in path.parent.iterdir()] == [path.name]


def test_unknown_methods_and_budgets_are_named(path):
    found = read_predictions(path)
    with pytest.raises(UnknownNameError, match="parameters"):
        found.of("parametres")
    with pytest.raises(EvaluationError, match="was not asked after 70 mini-batches; there are 50, 100"):
        found.of(OURS.method, 70)


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("", "not enough values"),
        ('arch_str,accuracy,x @1 #0\n"' + "a,1,2\n" * 30_000, "field larger than"),
        ("arch_str,accuracy\na\n", "arch_str"),
        ("name,accuracy,x @1 #0\na,1,2\n", "columns name, accuracy"),
        ("arch_str,accuracy,x\na,1,2\n", "column 'x'"),
        ("arch_str,accuracy,x @1 #0\na,1,2\nb,1\n", "inhomogeneous"),
        ("arch_str,accuracy,x @1 #0\na,1,two\n", "'two'"),
    ],
)
def test_another_file_is_refused_in_one_line(tmp_path, text, what):
    path = tmp_path / "table.csv"
    path.write_text(text)
    with pytest.raises(DataFileError, match="holds no predictions of stage=evaluate") as refusal:
        read_predictions(path)
    assert what in str(refusal.value)


def test_a_missing_file_says_what_to_run(tmp_path):
    with pytest.raises(DataFileError, match="run stage=evaluate first"):
        read_predictions(tmp_path / "predictions-n5.csv")
