"""The results page is made of the rows that lie beside it, and of nothing else."""

import json
import re
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from nap2.errors import EvaluationError
from nap2.evaluation.records.aggregate import aggregate
from nap2.evaluation.records.published import load_published
from nap2.evaluation.records.rows import ResultRow
from nap2.evaluation.results_page import draw_pictures, grew_by_labels, growth_table, one_of_each, sections, whole_page

DOCS = Path(__file__).parents[2] / "docs"


def test_the_page_is_what_its_rows_say():
    assert (DOCS / "results.md").read_text() == whole_page(
        DOCS / "results", load_published(DOCS / "published/nap2.csv")
    )


def rows(num_test=40, **values):
    """One row a method, of one test set."""
    common = {"space": "nasbench201", "target": "cifar10", "metric": "kendall_tau", "trial": 0, "query_batches": 100}
    return [ResultRow(method=name, value=value, num_test=num_test, **common) for name, value in values.items()]


def test_a_figure_that_two_runs_share_is_shown_once():
    first, second = rows(nap2=0.5, parameters=0.6), rows(plus=0.7, parameters=0.6)
    assert [one.method for one in one_of_each({"a": first, "b": second})] == ["nap2", "parameters", "plus"]


@pytest.mark.parametrize("other", [rows(parameters=0.61), rows(num_test=41, parameters=0.6)])
def test_runs_over_other_test_sets_are_not_mixed(other):
    with pytest.raises(EvaluationError, match=r"a and b differ in kendall_tau of parameters, trial 0 \(0.6 of 40"):
        one_of_each({"a": rows(parameters=0.6), "b": other})


def test_pools_stand_side_by_side_smallest_first_best_method_first():
    read = {"big": rows(139, nap2=0.7, sotl=0.3), "small": rows(52, sotl=0.25, nap2=0.2, once=0.9)}
    table = growth_table(read)
    assert table.header == ("method", "52", "139")
    assert table.rows == (("nap2", "0.200", "0.700"), ("sotl", "0.250", "0.300"))


def test_each_pool_stands_there_with_its_largest_number_of_labels():
    learned = [
        replace(one, train_size=size) for size, one in ((100, rows(139, nap2=0.7)[0]), (50, rows(139, nap2=0.5)[0]))
    ]
    assert growth_table({"big": learned, "small": rows(52, nap2=0.2)}).rows == (("nap2", "0.200", "0.700"),)


def test_pools_are_compared_at_a_budget_that_all_of_them_have():
    longer = [replace(rows(139, nap2=tau)[0], query_batches=budget) for budget, tau in ((100, 0.5), (500, 0.7))]
    assert growth_table({"big": longer, "small": rows(52, nap2=0.2)}).rows == (("nap2", "0.200", "0.500"),)


def test_a_section_of_several_numbers_of_labels_shows_a_picture_that_lies_there():
    page = (DOCS / "results.md").read_text()
    shown = re.findall(r"!\[[^]]+\]\(([^)]+)\)", page)
    assert shown
    assert all((DOCS / name).read_bytes().startswith(b"\x89PNG") for name in shown)
    assert set(DOCS.glob("results/*/*.png")) == {DOCS / name for name in shown}


def test_a_page_shows_tau_with_the_most_labels_of_each_source_and_folds_the_rest(tmp_path):
    (tmp_path / "1-here").mkdir()
    (tmp_path / "1-here/intro.md").write_text("## Here\n\nProse.\n")
    (tmp_path / "1-here/shift.md").write_text("**Written elsewhere**\n")
    asked = [("a", 10, 0.3), ("a", 20, 0.4), ("b", 15, 0.6)]
    found = [replace(row, source=source, train_size=n) for source, n, tau in asked for row in rows(nap2=tau)]
    found += [replace(row, metric="spearman_rho", value=0.9) for row in found]
    (tmp_path / "1-here/rows.jsonl").write_text("".join(json.dumps(asdict(one)) + "\n" for one in found))
    page = whole_page(tmp_path, [])
    open_part, _, closed = page.partition("<details>")
    assert closed.count("</details>") == 1
    for name, tau in (("nap2 (a, 20)", "0.400"), ("nap2 (b, 15)", "0.600")):
        assert f"| {name} | {tau} |" in open_part
    assert "0.300" not in open_part
    assert "0.300" in closed
    assert "0.900" not in open_part
    assert closed.count("0.900") == 3
    assert open_part.count("**Written elsewhere**") == 1


def test_a_section_of_several_budgets_has_a_column_and_a_place_in_the_picture_for_each(tmp_path):
    fitted = {"source": "a", "train_size": 20}
    taus = ((1, 0.5), (3, 0.6))
    budgets = [replace(r, query_batches=100 * n, snapshots=n, **fitted) for n, tau in taus for r in rows(nap2=tau)]
    free = [replace(row, query_batches=0) for row in rows(parameters=0.4)]
    (tmp_path / "1-here").mkdir()
    (tmp_path / "1-here/intro.md").write_text("## Here\n")
    (tmp_path / "1-here/rows.jsonl").write_text("".join(json.dumps(asdict(one)) + "\n" for one in budgets + free))
    page = whole_page(tmp_path, [])
    assert f"![Kendall τ by mini-batches]({tmp_path.name}/1-here/tau-by-budget.png)" in page
    assert "| nap2 (a, 20) | – | **0.500** | **0.600** |" in page
    assert "| parameters | **0.400** | – | – |" in page
    assert draw_pictures(tmp_path) == [tmp_path / "1-here/tau-by-budget.png"]


def test_no_line_joins_what_learned_from_candidates_of_two_draws():
    few, many = (replace(row, source="a", train_size=n) for n in (10, 20) for row in rows(nap2=0.5))
    assert grew_by_labels(aggregate([few, many]))
    assert not grew_by_labels(aggregate([few, replace(many, protocol="5-fold, shorter learn too")]))


def test_sections_come_in_the_order_of_their_numbers(tmp_path):
    for name in ("10-last", "2-second", "1-first", "further"):
        (tmp_path / name).mkdir()
    assert [path.name for path, _ in sections(tmp_path)] == ["1-first", "2-second", "10-last", "further"]


def test_a_section_of_several_pools_is_shown_by_pool(tmp_path):
    for name, num_test in (("a", 30), ("b", 60)):
        path = tmp_path / "1-pools" / f"{name}.jsonl"
        path.parent.mkdir(exist_ok=True)
        path.write_text("".join(json.dumps(asdict(one)) + "\n" for one in rows(num_test, nap2=0.5)))
    (tmp_path / "1-pools/intro.md").write_text("## Pools\n")
    page = whole_page(tmp_path, [])
    assert page.index("## Pools") < page.index("| nap2 | 0.500 | 0.500 |")


def test_what_holds_for_all_sections_stands_before_the_first(tmp_path):
    (tmp_path / "1-here").mkdir()
    (tmp_path / "1-here/a.jsonl").write_text(json.dumps(asdict(rows(nap2=0.5)[0])) + "\n")
    (tmp_path / "1-here/intro.md").write_text("## Here\n")
    (tmp_path / "intro.md").write_text("Of all.\n")
    page = whole_page(tmp_path, [])
    assert page.index("# Results") < page.index("Of all.") < page.index("## Here")


@pytest.mark.parametrize("page", ["results_page", "proxies_page"])
def test_a_page_is_asked_for_by_its_folder(tmp_path: Path, page: str) -> None:
    command = [sys.executable, "-m", f"nap2.evaluation.{page}"]
    helped = subprocess.run([*command, "--help"], capture_output=True, text=True, check=True)
    assert "folder" in helped.stdout
    refused = subprocess.run([*command, str(tmp_path / "none")], capture_output=True, text=True, check=False)
    assert refused.returncode == 2
    assert refused.stderr.endswith(f"{tmp_path / 'none'} is no folder\n")
    assert not list(tmp_path.iterdir())
