"""What a page keeps of an evaluation: of every figure the latest row, and the differences between what is kept."""

import json
from dataclasses import replace

import pytest
from fakes_evaluation import EXAM, NAP2, PARAMS, WEAK

from nap2.errors import DataFileError, EvaluationError, UnknownNameError
from nap2.evaluation.judging.differences import differences
from nap2.evaluation.kept_rows import keep
from nap2.evaluation.records.difference_log import append_differences, read_differences
from nap2.evaluation.records.protocols import result_rows
from nap2.evaluation.records.rows import append_rows, read_rows


@pytest.fixture
def results(tmp_path):
    """An evaluation that was run twice: the second time one trial had another seed, and other values."""
    folder = tmp_path / "results"
    for day, nap2 in (("2026-01-01", NAP2), ("2026-01-02", replace(NAP2, values=-NAP2.values, seeds=(0, 1, 7)))):
        methods = (nap2, WEAK, PARAMS)
        rows = [replace(row, date=day) for one in methods for row in result_rows(one, EXAM, rounds=0)]
        append_rows(folder / "rows.jsonl", rows)
        compared = differences([WEAK, PARAMS], nap2, EXAM, rounds=20)
        append_differences(folder / "differences.jsonl", compared, 700)
    return folder


def test_of_every_figure_the_latest_row_is_kept_and_of_two_metrics_only(results, tmp_path) -> None:
    target = tmp_path / "page/section/nap2.jsonl"
    count = keep(results, target)
    kept = read_rows(target)
    assert len(kept) == count
    assert {row.date for row in kept} == {"2026-01-02"}
    assert {row.metric for row in kept} == {"kendall_tau", "spearman_rho"}
    figures = [(row.method, row.metric, row.trial, row.query_batches) for row in kept]
    assert len(set(figures)) == len(figures)
    assert set(figures) == {
        (row.method, row.metric, row.trial, row.query_batches)
        for row in read_rows(results / "rows.jsonl")
        if row.metric in ("kendall_tau", "spearman_rho")
    }
    assert read_differences(target.with_name("differences.jsonl"), 700) == read_differences(
        results / "differences.jsonl", 700
    )


def test_methods_can_be_chosen_and_what_the_section_held_of_others_stays(results, tmp_path) -> None:
    section = tmp_path / "section"
    keep(results, section / "all.jsonl")
    before = (section / "differences.jsonl").read_text().splitlines()
    marked = [json.dumps({**json.loads(line), "commit": "before"}, sort_keys=True) for line in before]
    (section / "differences.jsonl").write_text("\n".join(marked) + "\n")
    keep(results, section / "some.jsonl", ["nap2", "params"])
    assert {row.method for row in read_rows(section / "some.jsonl")} == {"nap2", "params"}
    after = [json.loads(line) for line in (section / "differences.jsonl").read_text().splitlines()]
    assert len(after) == len(before)
    assert {line["commit"] for line in after if line["method"] == "params"} == {""}
    assert {line["commit"] for line in after if line["method"] == "early_stopping"} == {"before"}


def test_keeping_again_changes_nothing(results, tmp_path) -> None:
    target = tmp_path / "section/nap2.jsonl"
    keep(results, target)
    before = [path.read_bytes() for path in sorted(target.parent.iterdir())]
    keep(results, target)
    assert [path.read_bytes() for path in sorted(target.parent.iterdir())] == before


def test_a_section_that_compares_pools_of_several_sizes_keeps_no_differences(results, tmp_path) -> None:
    section = tmp_path / "section"
    keep(results, section / "large.jsonl")
    assert (section / "differences.jsonl").exists()
    rows = [replace(row, num_test=row.num_test - 10) for row in read_rows(results / "rows.jsonl")]
    (results / "rows.jsonl").unlink()
    append_rows(results / "rows.jsonl", rows)
    keep(results, section / "small.jsonl")
    assert sorted(path.name for path in section.iterdir()) == ["large.jsonl", "small.jsonl"]


def test_what_was_tested_before_a_target_grew_is_not_kept(results, tmp_path) -> None:
    grown = [
        replace(row, num_test=row.num_test + 5, date="2026-01-03")
        for row in read_rows(results / "rows.jsonl")
        if row.method == "nap2"
    ]
    append_rows(results / "rows.jsonl", grown)
    keep(results, tmp_path / "section/nap2.jsonl")
    assert {row.method for row in read_rows(tmp_path / "section/nap2.jsonl")} == {"nap2"}


def test_one_train_size_can_be_kept(results, tmp_path) -> None:
    rows = read_rows(results / "rows.jsonl")
    append_rows(results / "rows.jsonl", [replace(row, train_size=50) for row in rows if row.method == "nap2"])
    keep(results, tmp_path / "section/full.jsonl", size=700)
    assert {(row.method == "nap2", row.train_size) for row in read_rows(tmp_path / "section/full.jsonl")} == {
        (True, 700),
        (False, 0),
    }
    with pytest.raises(EvaluationError, match=r"was fitted on 60 candidates; there are 50, 700"):
        keep(results, tmp_path / "section/none.jsonl", size=60)


def test_what_cannot_be_kept_is_said(results, tmp_path) -> None:
    with pytest.raises(UnknownNameError, match=r"'parms'.* Did you mean 'params'"):
        keep(results, tmp_path / "section/x.jsonl", ["parms"])
    with pytest.raises(EvaluationError, match="where differences go"):
        keep(results, tmp_path / "section/differences.jsonl")
    with pytest.raises(EvaluationError, match=r"x\.json is no \.jsonl file"):
        keep(results, tmp_path / "section/x.json")
    with pytest.raises(DataFileError, match="No result rows at"):
        keep(tmp_path, tmp_path / "section/x.jsonl")
    assert not (tmp_path / "section").exists()
    with pytest.raises(DataFileError, match="cannot be written"):
        keep(results, results / "rows.jsonl/x.jsonl")


def test_a_damaged_line_of_differences_is_named_before_anything_is_written(results, tmp_path) -> None:
    for place in (tmp_path / "section/differences.jsonl", results / "differences.jsonl"):
        place.parent.mkdir(exist_ok=True)
        place.write_text('{"method": "nap2"}\n')
        with pytest.raises(DataFileError, match=r"differences\.jsonl, line 1: no difference"):
            keep(results, tmp_path / "section/x.jsonl")
        place.unlink()
    assert not (tmp_path / "section/x.jsonl").exists()
