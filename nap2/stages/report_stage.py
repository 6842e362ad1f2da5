"""stage=report: every result row of a run in one page, beside the published figures where there are any."""

from pathlib import Path

from nap2.config import Config
from nap2.errors import EvaluationError, counted
from nap2.evaluation.aggregate import Aggregate, aggregate
from nap2.evaluation.rows import read_rows
from nap2.evaluation.tables import to_markdown
from nap2.evaluation.tables_by_size import tables_by_size
from nap2.evaluation.views import cost_table, published_table
from nap2.stages.console import say
from nap2.stages.published_figures import published_figures


def run(config: Config) -> int:
    """Write `<runs>/report.md` from all `rows.jsonl` below the run folder."""
    root = Path(config.paths.runs)
    sources = sorted(root.glob("**/rows.jsonl"))
    if not sources:
        raise EvaluationError(f"No result rows under {root}; run stage=evaluate or stage=proxies first.")
    published = published_figures(config)
    parts = [f"# {config.name}", "Every figure below is derived from the rows named above its table."]
    for source in sources:
        found = aggregate(read_rows(source))
        parts += [f"## {source.parent.relative_to(root)}", f"Rows: `{source}`", *_tables(found)]
        if published:
            beside = published_table(found, published)
            parts.append(
                to_markdown(beside) if beside.rows else "No published figure is of the same method and datasets."
            )
    path = root / "report.md"
    path.write_text("\n\n".join(parts) + "\n")
    say(f"report: {path}, from {counted(len(sources), 'file')} of rows")
    return 0


def _tables(found: list[Aggregate]) -> list[str]:
    """Methods by budget where a budget was spent, by cost elsewhere; one of each per train size."""
    if not any(one.row.query_batches for one in found):
        return [to_markdown(cost_table(found))]
    return [to_markdown(table) for table in tables_by_size(found)]
