import errno
import json
import multiprocessing
import os
from dataclasses import asdict, replace

import pytest

from nap2.errors import DataFileError, UnknownNameError
from nap2.evaluation.records.rows import ResultRow, append_rows, read_rows

ROW = ResultRow(
    method="nap2",
    space="nasbench201",
    source="cifar10",
    target="cifar10",
    flavour="functional",
    train_size=700,
    trial=0,
    seed=1,
    query_batches=100,
    snapshots=1,
    metric="kendall_tau",
    value=0.7,
    num_test=200,
    versions={"torch": "2.4"},
)


def test_rows_come_back_as_they_were_written(tmp_path):
    rows = [ROW, replace(ROW, trial=None, seed=None, low=0.6, high=0.8), replace(ROW, query_batches=200, value=None)]
    append_rows(tmp_path / "rows.jsonl", rows)
    assert read_rows(tmp_path / "rows.jsonl") == rows


def test_the_latest_of_equal_keys_counts_in_the_place_of_the_first(tmp_path):
    path = tmp_path / "rows.jsonl"
    append_rows(path, [ROW, replace(ROW, trial=1)])
    append_rows(path, [replace(ROW, value=0.9, commit="later")])
    assert [(row.trial, row.value) for row in read_rows(path)] == [(0, 0.9), (1, 0.7)]
    assert len(path.read_text().splitlines()) == 3


def test_an_undefined_figure_is_none_and_never_nan(tmp_path):
    append_rows(tmp_path / "rows.jsonl", [replace(ROW, value=float("nan"), query_time_s=float("inf"))])
    assert "NaN" not in (tmp_path / "rows.jsonl").read_text()
    row = read_rows(tmp_path / "rows.jsonl")[0]
    assert row.value is None
    assert row.query_time_s is None


def test_an_unfinished_last_line_is_no_row_and_does_not_spoil_the_next(tmp_path):
    path = tmp_path / "rows.jsonl"
    append_rows(path, [ROW])
    with path.open("a") as file:
        file.write('{"method": "na')
    assert read_rows(path) == [ROW]
    append_rows(path, [replace(ROW, trial=1)])
    assert [row.trial for row in read_rows(path)] == [0, 1]


def _write_many(path, worker):
    for trial in range(40):
        append_rows(path, [replace(ROW, trial=trial, seed=worker), replace(ROW, trial=trial, seed=worker, metric="x")])


def test_concurrent_writers_lose_and_mix_nothing(tmp_path):
    path = tmp_path / "rows.jsonl"
    context = multiprocessing.get_context("fork")
    workers = [context.Process(target=_write_many, args=(path, worker)) for worker in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert len(read_rows(path)) == 4 * 40 * 2


def test_a_damaged_line_is_named_by_its_number(tmp_path):
    path = tmp_path / "rows.jsonl"
    append_rows(path, [ROW])
    with path.open("a") as file:
        file.write("not json\n")
    with pytest.raises(DataFileError, match=r"rows.jsonl, line 2: not a result row"):
        read_rows(path)
    path.write_text(json.dumps({"method": "nap2"}) + "\n")
    with pytest.raises(DataFileError, match="line 1"):
        read_rows(path)
    with pytest.raises(DataFileError, match="run an evaluation first"):
        read_rows(tmp_path / "none.jsonl")


def test_a_row_says_whose_labels_judged_it():
    with pytest.raises(UnknownNameError, match="kind of label"):
        replace(ROW, label="guessed")


def test_the_former_word_for_imported_accuracies_is_still_read():
    assert replace(ROW, label="published").key() == replace(ROW, label="imported").key()


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.EOPNOTSUPP, errno.EIO])
def test_a_file_system_without_locks_costs_no_row(tmp_path, monkeypatch, number):
    def refuse(*_):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("nap2.evaluation.records.rows.fcntl.flock", refuse)
    if number == errno.EIO:
        with pytest.raises(OSError, match="Input/output error"):
            append_rows(tmp_path / "rows.jsonl", [ROW])
        return
    append_rows(tmp_path / "rows.jsonl", [ROW])
    assert read_rows(tmp_path / "rows.jsonl") == [ROW]


def test_a_row_of_an_earlier_version_gives_way_to_a_later_one_of_the_same_figure(tmp_path):
    """It named neither encoder nor sizes, nor what was changed of the recipe: a card would say each thing twice."""
    path, now = tmp_path / "rows.jsonl", replace(ROW, encoder="cae", cae_pool="digits/6×2", recipe="digits, epochs 1")
    now = replace(now, skeleton="stem_channels 2", value=0.9)
    absent = {"encoder", "skeleton", "protocol"}
    before = [replace(now, recipe="digits", value=0.1, trial=trial, seed=7) for trial in (0, 1)]
    before.append(replace(before[0], query_batches=200))  # not evaluated again
    lines = [{k: v for k, v in asdict(row).items() if k not in absent} for row in before]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert [row.encoder for row in read_rows(path)] == ["cae"] * 3
    append_rows(path, [now])
    assert [(row.query_batches, row.value) for row in read_rows(path)] == [(200, 0.1), (100, 0.9)]
    append_rows(path, [replace(now, skeleton="", value=0.8)])  # another size, of today
    assert [row.value for row in read_rows(path)] == [0.1, 0.9, 0.8]
