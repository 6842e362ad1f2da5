"""One table per train size, and a title that tells them apart."""

from dataclasses import replace

from test_results_page import rows

from nap2.evaluation.pages.tables_by_size import tables_by_size
from nap2.evaluation.records.aggregate import aggregate


def found(*sizes):
    fitted = [replace(row, train_size=size) for size in sizes for row in rows(nap2=0.5 + size / 1000)]
    return aggregate([*fitted, *rows(parameters=0.6)])


def test_sizes_are_not_mixed_and_what_is_fitted_on_nothing_is_in_each():
    small, large = tables_by_size(found(50, 100), ["kendall_tau"])
    assert small.title.endswith(", 50 training candidates")
    assert large.title.endswith(", 100 training candidates")
    for table, value in ((small, "0.550"), (large, "0.600")):
        cells = {row[0]: row[1:] for row in table.rows}
        assert len(cells) == 2
        assert any(value in cell for cell in cells.pop(next(name for name in cells if name.startswith("nap2"))))


def test_a_single_size_needs_no_name():
    (table,) = tables_by_size(found(50), ["kendall_tau"])
    assert "training candidates" not in table.title
