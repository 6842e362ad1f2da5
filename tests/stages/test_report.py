"""stage=report: every row of a run in a page and in LaTeX, each figure once, the published one beside it."""

import re
from dataclasses import replace
from pathlib import Path

import pytest

from nap2.errors import EvaluationError
from nap2.evaluation.records.rows import ResultRow, append_rows
from nap2.stages import report_stage
from nap2.stages.command.compose import compose_config

ROW = ResultRow(
    method="nap2",
    space="nasbench201",
    target="cifar10",
    metric="kendall_tau",
    value=0.512,
    num_test=200,
    source="cifar10",
    train_size=700,
    trial=0,
)
SEEN = replace(ROW, query_batches=100, snapshots=1)


def report(folder: Path, *overrides: str) -> tuple[str, str]:
    config = compose_config(["stage=report", "experiment=nb201_cifar10", f"paths.runs={folder}", *overrides])[1]
    assert report_stage.run(config) == 0
    return (folder / "report.md").read_text(), (folder / "report.tex").read_text()


def test_every_file_of_rows_has_its_tables_in_both_forms(tmp_path: Path) -> None:
    append_rows(tmp_path / "functional/results/rows.jsonl", [SEEN, replace(SEEN, trial=1, value=0.514)])
    proxy = replace(ROW, method="snip", source="", train_size=0, trial=None, value=0.123, query_forwards=3.0)
    append_rows(tmp_path / "proxies/rows.jsonl", [proxy])
    page, latex = report(tmp_path)
    for folder in ("functional/results", "proxies"):
        assert f"## {folder}" in page
        assert f"% rows: {tmp_path}/{folder}/rows.jsonl" in latex
    assert "0.513 ± 0.001" in page
    assert r"0.513 $\pm$ 0.001" in latex
    assert "snip" in page
    assert page.count("0.123") == latex.count("0.123") > 0
    assert latex.count(r"\begin{table}") == latex.count(r"\end{table}") == page.count("\n|---")


def test_what_latex_cannot_set_by_itself_is_spelled_out(tmp_path: Path) -> None:
    across = replace(SEEN, method="nap2_x 50 % & more", stand_in=True, target="imagenet16-120")
    append_rows(tmp_path / "results/rows.jsonl", [across, replace(across, trial=1)])
    latex = report(tmp_path)[1]
    assert r"nap2\_x 50 \% \& more" in latex
    assert re.findall(r"[^\x00-\x7f]", latex) == []


def test_published_figures_stand_beside_ours_or_are_left_out(tmp_path: Path) -> None:
    append_rows(tmp_path / "results/rows.jsonl", [SEEN, replace(SEEN, trial=1)])
    page = report(tmp_path)[0]
    assert "0.747" in page  # the paper's figure of NAP2 on cifar10 after 100 mini-batches
    assert "0.747" not in report(tmp_path, "report.published=none")[0]


def test_what_was_transferred_before_the_target_grew_is_left_out(tmp_path: Path) -> None:
    before, since = replace(SEEN, date="2026-01-01"), replace(SEEN, num_test=240, value=0.6, date="2026-02-01")
    old = replace(before, method="nap2 (pca encoder)", value=0.345)
    append_rows(tmp_path / "functional/results/from-other/rows.jsonl", [old, before, since])
    page = report(tmp_path)[0]
    assert "240 test candidates" in page
    assert "0.345" not in page
    half = replace(ROW, method="libra", source="", train_size=0, num_test=100, value=0.456, date="2026-01-01")
    append_rows(tmp_path / "proxies/rows.jsonl", [half, replace(half, method="snip", num_test=200)])
    assert "0.456" in report(tmp_path)[0]


def test_a_run_without_rows_says_what_to_run(tmp_path: Path) -> None:
    with pytest.raises(EvaluationError, match=r"No result rows under .*; run stage=evaluate or stage=proxies first"):
        report(tmp_path)
