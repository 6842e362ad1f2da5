"""What stage=proxies says in the end: rows, table, plot, and the reasons of all failures."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from nap2.baselines import POOL_SCORES, PROXIES, pool_score
from nap2.baselines.zero_cost.pool import libra_members
from nap2.config import Config
from nap2.errors import EvaluationError, counted
from nap2.evaluation.judging.exam import Floats, Predictions
from nap2.evaluation.judging.metrics import RHO, TAU
from nap2.evaluation.pages.beside_published import published_table
from nap2.evaluation.pages.tables import to_markdown, to_rich
from nap2.evaluation.pages.views import aggregates_csv, cost_table
from nap2.evaluation.plots.cost_plot import cost_plot
from nap2.evaluation.records.aggregate import aggregate
from nap2.evaluation.records.protocols import result_rows
from nap2.evaluation.records.rows import append_rows
from nap2.stages.command.console import console, say
from nap2.stages.command.published_figures import published_figures
from nap2.stages.pool.exam_on import exam_on
from nap2.stages.scores.score_file import Scores

SAMPLE, REST = slice(0, None, 2), slice(1, None, 2)
"""Every other network, and the rest: the order of the list is random or the user's own."""


def write_report(config: Config, scores: Scores, accuracy: Mapping[str, float], folder: Path) -> None:
    """Rows, table (beside the published figures, unless `report.published` is `none`) and plot."""
    known = [name for name in scores.arch_strs if name in accuracy]
    exam = exam_on(config, np.array([accuracy[name] for name in known]))
    judged = [(method, exam) for method in proxy_methods(scores, known)]
    on_the_rest = replace(exam, truth=exam.truth[REST])
    judged += [(method, on_the_rest) for method in fitted_methods(scores, known, exam.truth)]
    rounds, seed = config.evaluate.bootstrap, config.seed
    rows = [row for method, on in judged for row in result_rows(method, on, (TAU, RHO), rounds=rounds, seed=seed)]
    append_rows(folder / "rows.jsonl", rows)
    aggregates = aggregate(rows)
    table = cost_table(aggregates)
    console.print(to_rich(table))
    text = to_markdown(table)
    beside = published_table(aggregates, published_figures(config))
    if beside.rows:
        text += "\n\n" + to_markdown(beside)
    (folder / "table.md").write_text(text + "\n", encoding="utf-8")
    (folder / "table.csv").write_text(aggregates_csv(aggregates), encoding="utf-8")
    plot = cost_plot(aggregates, folder / "tau-by-cost.png", title=f"{config.space.name} on {config.dataset.name}")
    for (name, reason), count in scores.failures().most_common():
        say(f"{name}: {count} of {len(scores.tasks)} without a value ({reason})")
    say(f"plot: {plot}; table: {folder / 'table.md'}; rows: {folder / 'rows.jsonl'}")


def proxy_methods(scores: Scores, arch_strs: Sequence[str]) -> list[Predictions]:
    """One method per proxy, and one per vote or fusion whose members were all scored; trials are (seed, batch).

    More is better in all of them; a vote or fusion costs what its members cost.
    """
    by_trial, methods = scores.by_trial(arch_strs), []
    for name in scores.names:
        values = np.stack([columns[name] for columns in by_trial])
        methods.append(_method(scores, name, values if PROXIES[name].higher_is_better else -values, (name,)))
    for name, record in POOL_SCORES.items():
        if not record.needs_accuracy and set(record.members) <= set(scores.names):
            values = np.stack([pool_score(name, columns) for columns in by_trial])
            methods.append(_method(scores, name, values, record.members))
    return methods


def fitted_methods(scores: Scores, arch_strs: Sequence[str], truth: Floats) -> list[Predictions]:
    """The pool scores that are fitted to accuracies: to those of `SAMPLE`, and judged on `REST` alone."""
    methods = []
    seen = np.full_like(truth, np.nan)
    seen[SAMPLE] = truth[SAMPLE]
    by_trial = scores.by_trial(arch_strs)
    for name in (name for name, record in POOL_SCORES.items() if record.needs_accuracy):
        try:
            values = np.stack([pool_score(name, columns, seen)[REST] for columns in by_trial])
        except EvaluationError as error:
            say(f"{name} is left out: {error}")
            continue
        picked = "; ".join(sorted({" + ".join(libra_members(columns, seen)) for columns in by_trial}))
        note = f"fitted to {counted(len(truth[SAMPLE]), 'network')}, judged on the others; picked {picked}"
        methods.append(replace(_method(scores, name, values), note=note))
    return methods


def _method(scores: Scores, name: str, values: Floats, members: Sequence[str] = ()) -> Predictions:
    seconds, forwards = scores.cost(members) if members else (None, None)
    return Predictions(
        method=name,
        values=values[:, None, :],
        seeds=tuple(seed for seed, _ in scores.trials),
        query_time_s=(seconds,),
        query_forwards=forwards,
    )
