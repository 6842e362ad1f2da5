"""The page of the proxies is what the result rows say, and its gaps are explained."""

from pathlib import Path

import pytest

from nap2.baselines.zero_cost.table import proxies_page
from nap2.evaluation.pages.beside_published import is_large
from nap2.evaluation.proxies_page import memory_table, whole_page
from nap2.evaluation.records.aggregate import aggregate
from nap2.evaluation.records.published import load_published, matching
from nap2.evaluation.records.rows import read_rows

DOCS = Path(__file__).parents[2] / "docs"
FOLDER = DOCS / "proxies"


def test_the_page_in_the_documentation_is_made_from_its_rows():
    assert (DOCS / "proxies.md").read_text(encoding="utf-8") == whole_page(FOLDER)


def test_the_page_begins_with_the_table_of_definitions():
    assert whole_page(FOLDER).startswith(proxies_page().rstrip("\n"))


@pytest.mark.skipif(not list(FOLDER.glob("rows_*.jsonl")), reason="no rows are kept")
def test_every_large_gap_is_explained():
    explained = (FOLDER / "gaps.md").read_text(encoding="utf-8")
    published = load_published(FOLDER / "published.json")
    large = {
        found.row.method
        for path in sorted(FOLDER.glob("rows_*.jsonl"))[:1]
        for found in aggregate(read_rows(path))
        for other in matching(found.row, published)
        if is_large(found, other)
    }
    assert {name for name in large if f"`{name}`" not in explained} == set()


def test_peaks_of_memory_are_shown_in_megabytes_and_a_missing_worker_as_none():
    row = {"what": "report", "networks": 15625, "scored": 0, "main_kb": 409600, "worker_kb": None}
    table = memory_table({"rows": [row], "notes": ["measured once"]})
    assert table.rows == (("report", "15,625", "0", "400 MB", "–"),)
    assert table.notes == ("measured once",)
