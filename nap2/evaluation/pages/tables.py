"""A table as text cells, and the three ways to write it: terminal, Markdown, LaTeX."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from rich import box
from rich.table import Table as RichTable
from rich.text import Text

from nap2.errors import EvaluationError

_MARKDOWN = str.maketrans({"|": r"\|", "\n": " "})
_LATEX = str.maketrans(
    {
        "\\": r"\textbackslash{}",
        **{char: "\\" + char for char in "&%$#_{}"},
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
        "±": r"$\pm$",
        "τ": r"$\tau$",
        "ρ": r"$\rho$",
        "Δ": r"$\Delta$",
        "→": r"$\rightarrow$",
        "†": r"$\dagger$",
        "–": "--",
        "−": "$-$",
        "×": r"$\times$",
        "\n": " ",
    }
)


@dataclass(frozen=True, slots=True)
class Table:
    """Cells ready to be read.

    Attributes:
        title: what the table shows.
        header: one name per column; the first column names the row.
        rows: one cell per column.
        notes: what a reader must know, one line each, below the table.
        bold: (row, column) of the cells to stand out.
    """

    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...] = ()
    bold: frozenset[tuple[int, int]] = frozenset()

    def __post_init__(self) -> None:
        uneven = [row for row in self.rows if len(row) != len(self.header)]
        if uneven:
            raise EvaluationError(
                f"The table {self.title!r} has {len(self.header)} columns; a row has {len(uneven[0])}: fill the gaps."
            )


def to_rich(table: Table) -> RichTable:
    """For the terminal: print it with a `rich.console.Console`."""
    shown = RichTable(title=table.title, box=box.SIMPLE_HEAVY, caption="\n".join(table.notes) or None)
    shown.title_justify = shown.caption_justify = "left"
    for place, name in enumerate(table.header):
        shown.add_column(
            Text(name),
            justify="right" if place else "left",
            no_wrap=not place,
            overflow="fold" if place else "ellipsis",
        )
    for i, row in enumerate(table.rows):
        shown.add_row(*(Text(cell, style="bold" if (i, j) in table.bold else "") for j, cell in enumerate(row)))
    return shown


def to_markdown(table: Table) -> str:
    """GitHub-flavoured, title and notes included."""
    lines = [_markdown_line(table.header), "|" + "|".join(["---", *["---:"] * (len(table.header) - 1)]) + "|"]
    for i, row in enumerate(table.rows):
        lines.append(_markdown_line(f"**{cell}**" if (i, j) in table.bold else cell for j, cell in enumerate(row)))
    notes = [f"- {note}" for note in table.notes]
    return "\n".join([f"**{table.title}**", "", *lines, *([""] if notes else []), *notes]) + "\n"


def folded(title: str, tables: Sequence[Table]) -> str:
    """Markdown of tables that a reader opens: all that a page holds, and a page that can be read through."""
    return "\n\n".join((f"<details><summary>{title}</summary>", *map(to_markdown, tables), "</details>"))


def to_latex(table: Table) -> str:
    r"""A `booktabs` table environment; the notes go into the caption."""
    body = [
        " & ".join(rf"\textbf{{{_tex(cell)}}}" if (i, j) in table.bold else _tex(cell) for j, cell in enumerate(row))
        for i, row in enumerate(table.rows)
    ]
    caption = " ".join(_tex(line).rstrip(".") + "." for line in (table.title, *table.notes))
    lines = [
        r"\begin{table}",
        r"\centering",
        rf"\caption{{{caption}}}",
        rf"\begin{{tabular}}{{l{'r' * (len(table.header) - 1)}}}",
        r"\toprule",
        " & ".join(map(_tex, table.header)) + r" \\",
        r"\midrule",
        *(line + r" \\" for line in body),
        r"\bottomrule",
        r"\end{tabular}",
        r"\end{table}",
    ]
    return "\n".join(lines) + "\n"


def _markdown_line(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cell.translate(_MARKDOWN) for cell in cells) + " |"


def _tex(cell: str) -> str:
    return cell.translate(_LATEX)
