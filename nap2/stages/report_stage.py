"""stage=report: every result row of a run in one page, beside the published figures where there are any.

The same tables go into `report.tex`, for a document that loads `booktabs`.
"""

from pathlib import Path

from nap2.config import Config
from nap2.errors import EvaluationError, counted
from nap2.evaluation.pages.beside_published import published_table
from nap2.evaluation.pages.tables import Table, to_latex, to_markdown
from nap2.evaluation.pages.tables_by_size import tables_by_size
from nap2.evaluation.pages.views import cost_table
from nap2.evaluation.records.aggregate import Aggregate, aggregate
from nap2.evaluation.records.latest_test import of_latest_test
from nap2.evaluation.records.rows import read_rows
from nap2.stages.command.console import say
from nap2.stages.command.published_figures import published_figures

PROXIES = "proxies"
"""Folder of the rows of stage=proxies: one that is fitted to half of the networks is judged on the other half."""


def run(config: Config) -> int:
    """Write `<runs>/report.md` and `<runs>/report.tex` from all `rows.jsonl` below the run folder."""
    root = Path(config.paths.runs)
    sources = sorted(root.glob("**/rows.jsonl"))
    if not sources:
        raise EvaluationError(f"No result rows under {root}; run stage=evaluate or stage=proxies first.")
    published = published_figures(config)
    parts = [f"# {config.name}", "Every figure below is derived from the rows named above its table."]
    latex = [r"% \usepackage{booktabs}"]
    for source in sources:
        rows = read_rows(source)
        found = aggregate(rows if source.parent.name == PROXIES else of_latest_test(rows))
        tables = _tables(found)
        beside = published_table(found, published)
        tables += [beside] if beside.rows else []
        parts += [f"## {source.parent.relative_to(root)}", f"Rows: `{source}`", *map(to_markdown, tables)]
        if published and not beside.rows:
            parts.append("No published figure is of the same method and datasets.")
        latex += [f"% rows: {source}", *map(to_latex, tables)]
    (root / "report.md").write_text("\n\n".join(parts) + "\n", encoding="utf-8")
    (root / "report.tex").write_text("\n".join(latex), encoding="utf-8")
    files = counted(len(sources), "file")
    say(f"report: {root / 'report.md'}, and for LaTeX {root / 'report.tex'}, from {files} of rows")
    return 0


def _tables(found: list[Aggregate]) -> list[Table]:
    """Methods by budget where a budget was spent, by cost elsewhere; one of each per train size."""
    if not any(one.row.query_batches for one in found):
        return [cost_table(found)]
    return tables_by_size(found)
