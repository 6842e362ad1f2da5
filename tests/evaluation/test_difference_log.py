"""Differences survive being written: all digits, undefined ones too, the latest of equal keys."""

import dataclasses
import math

import pytest
from fakes_evaluation import EXAM, NAP2, PARAMS, WEAK

from nap2.errors import DataFileError
from nap2.evaluation.judging.bootstrap import Interval
from nap2.evaluation.judging.differences import differences
from nap2.evaluation.records.difference_log import append_differences, read_differences

FOUND = differences([WEAK, PARAMS], NAP2, EXAM, rounds=50)


def test_what_was_written_is_read_at_its_train_size(tmp_path):
    path = tmp_path / "differences.jsonl"
    append_differences(path, FOUND, 700, "abc")
    append_differences(path, FOUND[:1], 50)
    assert read_differences(path, 700) == FOUND
    assert read_differences(path, 50) == FOUND[:1]
    assert read_differences(path, 1) == []


def test_the_latest_of_equal_keys_counts(tmp_path):
    path = tmp_path / "differences.jsonl"
    append_differences(path, FOUND, 700)
    changed = dataclasses.replace(FOUND[0], interval=Interval(0.5, 0.4, 0.6, 0.1))
    append_differences(path, [changed], 700)
    assert read_differences(path, 700) == [changed, FOUND[1]]


def test_the_same_methods_of_other_sources_or_at_other_budgets_are_other_differences(tmp_path):
    path = tmp_path / "differences.jsonl"
    others = [
        dataclasses.replace(FOUND[1], against_source="cifar100"),
        dataclasses.replace(FOUND[1], against_batches=100),
    ]
    append_differences(path, [*FOUND, *others], 700)
    assert FOUND[1].against_source == "cifar10"
    assert read_differences(path, 700) == [*FOUND, *others]


def test_a_line_of_an_earlier_version_names_no_source_and_gives_way_to_one_that_does(tmp_path):
    path = tmp_path / "differences.jsonl"
    earlier = [dataclasses.replace(one, source="", against_source="") for one in FOUND]
    append_differences(path, earlier, 700)
    assert read_differences(path, 700) == earlier
    append_differences(path, FOUND[:1], 700)
    assert read_differences(path, 700) == [earlier[1], FOUND[0]]


def test_an_undefined_interval_stays_undefined(tmp_path):
    path = tmp_path / "differences.jsonl"
    append_differences(path, [dataclasses.replace(FOUND[0], interval=Interval(*[math.nan] * 4))], 700)
    (found,) = read_differences(path, 700)
    assert all(math.isnan(v) for v in dataclasses.astuple(found.interval))
    assert "NaN" not in path.read_text()


def test_what_is_missing_or_no_difference_is_refused_in_one_line(tmp_path):
    path = tmp_path / "differences.jsonl"
    with pytest.raises(DataFileError, match="run stage=evaluate once more"):
        read_differences(path, 700)
    path.write_text('{"train_size": 1}\n')
    with pytest.raises(DataFileError, match="line 1: no difference"):
        read_differences(path, 700)
