"""`docs/results.md`: what the released candidates say, every figure derived from the result rows in `docs/results/`.

`python -m nap2.evaluation.results_page docs/results` writes the page beside the folder. A section is a folder of it, in
the order of their numbers: `intro.md` (its heading, and how the rows came about), rows of `stage=evaluate` in one or
more `*.jsonl` files, and its `differences.jsonl`; where methods learned from several numbers of labels, or read several
numbers of mini-batches, a picture is drawn there. What several files hold must agree: same split, same value. Any other
`*.md` is a table that another command wrote, and stands below those of the rows. The folder's own `intro.md` is for all
sections.
"""

from collections.abc import Sequence
from dataclasses import replace
from math import inf
from pathlib import Path

from nap2.errors import EvaluationError
from nap2.evaluation.judging.exam import split_name
from nap2.evaluation.pages.beside_published import published_table
from nap2.evaluation.pages.further_test import sizes_of
from nap2.evaluation.pages.page_program import write_page
from nap2.evaluation.pages.results_overview import most_labels, overview
from nap2.evaluation.pages.tables import Table, folded, to_markdown
from nap2.evaluation.pages.tables_by_size import tables_by_size, with_size
from nap2.evaluation.pages.views import difference_table
from nap2.evaluation.plots.budget_plot import budget_plot
from nap2.evaluation.plots.labels_plot import has_several_sizes, labels_plot
from nap2.evaluation.records.aggregate import Aggregate, aggregate
from nap2.evaluation.records.as_text import figure, method_label
from nap2.evaluation.records.difference_log import read_differences
from nap2.evaluation.records.published import PublishedFigure, load_published
from nap2.evaluation.records.rows import ResultRow, read_rows

INTRO = "intro.md"
DIFFERENCES, BY_LABELS, BY_BUDGET = "differences.jsonl", "tau-by-labels.png", "tau-by-budget.png"
DIFFERENT = "Is a method better than another? Paired differences"
FURTHER = "Fewer labels, and Spearman ρ"
HEAD = """# Results

Written by `python -m nap2.evaluation.results_page docs/results` from the rows in `docs/results/`; a test holds the page
to them. τ is Kendall's τ-b between predicted and published final test accuracies of the same candidates.
[reproduction.md](reproduction.md) says which command computes which table of the NAP2 paper."""


def whole_page(folder: Path, published: Sequence[PublishedFigure]) -> str:
    """The text of the page made from `folder`, with the published figures of the same methods beside ours."""
    front = [path.read_text(encoding="utf-8").strip() for path in folder.glob(INTRO)]
    parts, in_short = [], {}
    for section, read in sections(folder):
        intro = (section / INTRO).read_text(encoding="utf-8").strip()
        parts.append(intro)
        if grows(read):
            parts.append(to_markdown(growth_table(read)))
        else:
            found = in_short[intro.partition("\n")[0].lstrip("# ")] = aggregate(one_of_each(read))
            parts += one_test_set(section, found, published)
    return "\n\n".join((HEAD, *front, to_markdown(overview(in_short)), *parts)) + "\n"


def one_test_set(section: Path, found: Sequence[Aggregate], published: Sequence[PublishedFigure]) -> list[str]:
    """A section whose rows are of one test set: the picture, τ with the most labels, and the rest to be opened."""
    pictures = [
        *([("labelled candidates", BY_LABELS)] if grew_by_labels(found) else []),
        *([("mini-batches", BY_BUDGET)] if has_several_budgets(found) else []),
    ]
    parts = [f"![Kendall τ by {what}]({section.parent.name}/{section.name}/{file})" for what, file in pictures]
    taus = dict(zip(sizes_of(found), tables_by_size(found, ("kendall_tau",)), strict=True))
    shown = {*most_labels(found).values()}
    parts += [to_markdown(table) for size, table in taus.items() if size in shown]
    beside = published_table(found, published)
    if beside.rows:
        parts.append(to_markdown(beside))
    if (section / DIFFERENCES).exists():
        parts.append(folded(DIFFERENT, difference_tables(section / DIFFERENCES, sizes_of(found))))
    written = sorted({*section.glob("*.md")} - {section / INTRO})
    parts += [path.read_text(encoding="utf-8").strip() for path in written]
    fewer = [table for size, table in taus.items() if size not in shown]
    return [*parts, folded(FURTHER, [*fewer, *tables_by_size(found, ("spearman_rho",))])]


def difference_tables(path: Path, sizes: Sequence[int]) -> list[Table]:
    """One for each train size at which something was compared."""
    by_size = {size: compared for size in sizes if (compared := read_differences(path, size))}
    several = len(sizes) > 1
    return [with_size(difference_table(compared), size, several) for size, compared in by_size.items()]


def draw_pictures(folder: Path) -> list[Path]:
    """The pictures that the page shows: by labels and by mini-batches, in each section that has several numbers."""
    drawn = []
    for section, read in sections(folder):
        if grows(read):
            continue
        found = aggregate(one_of_each(read))
        row = found[0].row
        title = f"{row.space} on {row.target}: {row.num_test} candidates, {split_name(row.flavour, row.protocol)}"
        if grew_by_labels(found):
            drawn.append(labels_plot(found, section / BY_LABELS, title=title))
        if has_several_budgets(found):
            drawn.append(budget_plot(_of_most_labels(found), section / BY_BUDGET, title=title))
    return drawn


def grew_by_labels(found: Sequence[Aggregate]) -> bool:
    """Whether methods were fitted on several numbers of labels in one way: no line joins what was drawn in two."""
    return has_several_sizes(found) and len({one.row.protocol for one in found if one.row.train_size}) == 1


def has_several_budgets(found: Sequence[Aggregate]) -> bool:
    """Whether something was asked after several numbers of snapshots; each interval's first one is no such series."""
    return len({one.row.snapshots for one in found} - {0}) > 1


def _of_most_labels(found: Sequence[Aggregate]) -> list[Aggregate]:
    """Figures with the most labels of their source; what is part of another method is left to the tables."""
    most = most_labels(found)
    whole = [one for one in found if ": " not in one.row.method]
    return [one for one in whole if one.row.train_size in (0, most.get(one.row.source))]


def sections(folder: Path) -> list[tuple[Path, dict[str, list[ResultRow]]]]:
    """The sections in their order (`2-…` before `10-…`), each with its rows."""
    return [(path, section_rows(path)) for path in sorted(folder.iterdir(), key=_place) if path.is_dir()]


def _place(section: Path) -> tuple[float, str]:
    number = section.name.partition("-")[0]
    return (int(number) if number.isdecimal() else inf), section.name


def section_rows(section: Path) -> dict[str, list[ResultRow]]:
    """The rows of a section by the name of their file."""
    files = [path for path in sorted(section.glob("*.jsonl")) if path.name != DIFFERENCES]
    return {path.stem: read_rows(path) for path in files}


def grows(read: dict[str, list[ResultRow]]) -> bool:
    """Whether the files of a section tested pools of several sizes: the page then compares these alone."""
    return len({max(row.num_test for row in rows) for rows in read.values()}) > 1


def one_of_each(read: dict[str, list[ResultRow]]) -> list[ResultRow]:
    """Rows of several runs over one test set, each figure once.

    Raises:
        EvaluationError: two files give one figure two values, so that they cannot be of the same test set.
    """
    known: dict[tuple[object, ...], tuple[str, ResultRow]] = {}
    for name, rows in read.items():
        for row in rows:
            first, other = known.setdefault(row.figure(), (name, row))
            if first != name and (other.value, other.num_test) != (row.value, row.num_test):
                raise EvaluationError(
                    f"{first} and {name} differ in {row.metric} of {row.method}, trial {row.trial} ({other.value} of "
                    f"{other.num_test} candidates, {row.value} of {row.num_test}): they are no rows of one test set."
                )
    return [row for _, row in known.values()]


def growth_table(read: dict[str, list[ResultRow]]) -> Table:
    """Kendall τ of each method by the number of candidates tested, one column per file, fewest first.

    All are of the largest budget that each file has.
    Methods that were fitted on several numbers of labels stand there with the largest of their pool.
    """
    columns = sorted(read, key=lambda name: max(row.num_test for row in read[name]))
    cells: dict[str, dict[str, Aggregate]] = {}
    latest = max(set.intersection(*({row.query_batches for row in rows} | {0} for rows in read.values())))
    for name in columns:
        size = max(row.train_size for row in read[name])
        for found in aggregate(row for row in read[name] if row.metric == "kendall_tau"):
            if found.row.query_batches in (0, latest) and found.row.train_size in (0, size):
                cells.setdefault(method_label(_without_size(found)), {})[name] = found
    shown = [method for method in cells if len(cells[method]) == len(columns)]
    shown.sort(key=lambda method: -(cells[method][columns[-1]].mean or 0.0))
    return Table(
        title="Kendall τ by labelled candidates, each tested once",
        header=("method", *(str(max(row.num_test for row in read[name])) for name in columns)),
        rows=tuple((method, *(figure(cells[method][name]) for name in columns)) for method in shown),
        notes=("Each pool is judged on all its own candidates: columns differ in training set and in test set.",),
    )


def _without_size(found: Aggregate) -> Aggregate:
    return replace(found, row=replace(found.row, train_size=0))


def _with_pictures(folder: Path) -> str:
    figures = load_published(folder.parent / "published/nap2.csv")
    draw_pictures(folder)
    return whole_page(folder, figures)


if __name__ == "__main__":
    write_page("nap2.evaluation.results_page", __doc__, _with_pictures)
