"""The budget tables of a page: one per train size and metric, so that no table mixes sizes."""

from collections.abc import Sequence
from dataclasses import replace

from nap2.evaluation.pages.further_test import of_size, sizes_of
from nap2.evaluation.pages.tables import Table
from nap2.evaluation.pages.views import budget_table
from nap2.evaluation.records.aggregate import Aggregate


def tables_by_size(found: Sequence[Aggregate], metrics: Sequence[str] = ("kendall_tau", "spearman_rho")) -> list[Table]:
    """Methods by budget at each train size, those that are fitted on nothing (size 0) in every one."""
    sizes = sizes_of(found)
    tables = []
    for size in sizes:
        for metric in metrics:
            tables.append(with_size(budget_table(of_size(found, size), metric), size, len(sizes) > 1))
    return tables


def with_size(table: Table, size: int, several: bool) -> Table:
    """A table whose title says the train size, where a page has several."""
    return replace(table, title=f"{table.title}, {size} training candidates") if several else table
