"""`docs/proxies.md`: what each proxy computes, how well it ranks, and where that differs from other figures.

`python -m nap2.evaluation.proxies_page docs/proxies` writes it beside the folder that it is made from: result rows of
stage=proxies (`rows_*.jsonl`), `published.json`, the hand-written explanations of the gaps (`gaps.md`), and the peak
of memory in runs of the stage (`memory.json`). Rows beside which a text of the same name lies (`rows_*.md`: a heading,
and how the rows came about) are a section of their own, with the figures of `docs/published/nap2.csv` beside them.
"""

import json
from pathlib import Path
from typing import Any

from nap2.baselines.zero_cost.table import proxies_page
from nap2.evaluation.pages.beside_published import published_table
from nap2.evaluation.pages.page_program import write_page
from nap2.evaluation.pages.tables import Table, to_markdown
from nap2.evaluation.pages.views import cost_table
from nap2.evaluation.records.aggregate import Aggregate, aggregate
from nap2.evaluation.records.published import load_published
from nap2.evaluation.records.rows import read_rows

_HEAD = """
## Run them yourself

```
python train.py stage=truth truth.source=accuracies.csv          # arch_str and a column per dataset; yours or published
python train.py stage=proxies experiment=nb201_cifar10 snapshot.one_per_class=false proxies.num_candidates=200
```

Each network becomes one line of `<runs>/proxies/scores-*.jsonl` as soon as it is scored, so the same command goes on
where it was interrupted. More networks (`proxies.num_candidates`), proxies (`proxies.names`), seeds (`proxies.seeds`),
batches (`proxies.batches`) add what is missing and nothing else; `workers` says how many processes share the work. In
the end `scores.csv` beside it holds every score, turned so that higher is better. With `proxies.known_only=false` no
accuracy has to be known: networks are scored, and judged only if three of them have one. From Python,
`nap2.baselines.score_network(network, images, labels)` scores any module that returns logits.

## How well they rank

From the result rows in `docs/proxies/`, by `python -m nap2.evaluation.proxies_page docs/proxies`; a test holds the
page to them. Cells are drawn at random from 14,625 of NAS-Bench-201's 15,625 (see [results](results.md)); labels are
the published mean test accuracies on CIFAR-10 after 200 epochs. One batch of 64 augmented training images, initial
weights of seed 0, full skeleton (C = 16, N = 5). Seconds are those of one CPU thread of a busy machine: compare them
with each other only. What `docs/decisions.md` lists as chosen here was chosen on half of the first 200 cells; the
other 300 chose nothing.

More or all of the 15,625 cells, known accuracy or not: `proxies.known_only=false snapshot.one_per_class=false`.
"""


def whole_page(folder: Path) -> str:
    """The text of the page made from `folder`."""
    parts = [proxies_page().rstrip("\n"), _HEAD.strip("\n")]
    files = [(path, aggregate(read_rows(path))) for path in sorted(folder.glob("rows_*.jsonl"))]
    tables = [(path, found) for path, found in files if not path.with_suffix(".md").is_file()]
    for path, found in tables:
        parts += [f"### `{path.name}`", f"Commits: {_commits(found)}.", to_markdown(cost_table(found))]
    if tables:
        beside = published_table(tables[0][1], load_published(folder / "published.json"))
        parts += [
            "### Beside other figures",
            to_markdown(beside),
            (folder / "gaps.md").read_text(encoding="utf-8").strip(),
        ]
    for path, found in files:
        if path.with_suffix(".md").is_file():
            beside = published_table(found, load_published(folder.parent / "published/nap2.csv"))
            text = path.with_suffix(".md").read_text(encoding="utf-8").strip()
            parts += [text, f"Commits: {_commits(found)}.", to_markdown(cost_table(found)), to_markdown(beside)]
    if (folder / "memory.json").is_file():
        parts += ["## Memory", to_markdown(memory_table(json.loads((folder / "memory.json").read_text("utf-8"))))]
    return "\n\n".join(parts) + "\n"


def memory_table(measured: dict[str, Any]) -> Table:
    """Peaks of resident memory; a row of `measured` is a run: what it did, networks asked for and scored, kB."""
    rows = tuple(
        (
            row["what"],
            *(f"{row[count]:,}" for count in ("networks", "scored")),
            *(f"{row[peak] / 1024:.0f} MB" if row[peak] else "–" for peak in ("main_kb", "worker_kb")),
        )
        for row in measured["rows"]
    )
    header = ("run", "networks", "of these scored", "main process", "its worker")
    return Table("Peak of resident memory by the number of networks", header, rows, tuple(measured["notes"]))


def _commits(found: list[Aggregate]) -> str:
    return ", ".join(sorted({one.row.commit for one in found}))


if __name__ == "__main__":
    write_page("nap2.evaluation.proxies_page", __doc__, whole_page)
