import csv
import io

import pytest
from rich.console import Console

from nap2.errors import EvaluationError
from nap2.evaluation.pages.tables import Table, to_latex, to_markdown, to_rich
from nap2.evaluation.records.csv_text import to_csv

TABLE = Table(
    title="τ by budget",
    header=("method", "100", "200"),
    rows=(("a|b_c", "0.5 ± 0.1", "–"), ("d & e [bold]", "0.4", "0.6")),
    notes=("Chance: 0.",),
    bold=frozenset({(1, 2)}),
)


def test_a_narrow_terminal_folds_a_cell_and_loses_none_of_it():
    console = Console(width=24, record=True, file=io.StringIO())
    console.print(to_rich(Table(title="", header=("method", "interval"), rows=(("nap2", "[-0.905,+1.050]"),))))
    text = console.export_text()
    assert "…" not in text
    assert "".join(line.split()[-1] for line in text.splitlines() if "0" in line or "]" in line) == "[-0.905,+1.050]"


def test_the_terminal_table_shows_every_cell_as_it_is():
    console = Console(width=100, record=True, file=io.StringIO())
    console.print(to_rich(TABLE))
    text = console.export_text()
    for part in ("τ by budget", "a|b_c", "0.5 ± 0.1", "d & e [bold]", "0.6", "Chance: 0."):
        assert part in text


def test_markdown_escapes_bars_and_marks_the_best():
    lines = to_markdown(TABLE).splitlines()
    assert lines[2:6] == [
        "| method | 100 | 200 |",
        "|---|---:|---:|",
        r"| a\|b_c | 0.5 ± 0.1 | – |",
        "| d & e [bold] | 0.4 | **0.6** |",
    ]
    assert lines[-1] == "- Chance: 0."


def test_latex_is_escaped_and_complete():
    text = to_latex(TABLE)
    assert r"a|b\_c & 0.5 $\pm$ 0.1 & -- \\" in text
    assert r"d \& e [bold] & 0.4 & \textbf{0.6} \\" in text
    assert r"\caption{$\tau$ by budget. Chance: 0.}" in text
    assert text.count(r"\begin") == text.count(r"\end") == 2


def test_csv_keeps_values_and_leaves_missing_ones_empty():
    read = list(csv.reader(io.StringIO(to_csv(("a", "b"), [(0.1 + 0.2, None), ("x,y", True)]))))
    assert read == [["a", "b"], ["0.30000000000000004", ""], ["x,y", "True"]]


def test_a_row_of_another_length_is_refused():
    with pytest.raises(EvaluationError, match="has 2 columns; a row has 1"):
        Table("t", ("a", "b"), (("x",),))
