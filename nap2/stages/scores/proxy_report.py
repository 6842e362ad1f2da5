"""What stage=proxies says in the end: rows, table, plot, and the reasons of all failures."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

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

Places = NDArray[np.intp]
ScoresByTrial = dict[str, Floats]
"""Raw scores `[trials, A]` of every proxy, NaN where there is none."""


def write_report(config: Config, scores: Scores, accuracy: Mapping[str, float], folder: Path) -> None:
    """Rows, table (beside the published figures, if `report.published` names a file of them) and plot."""
    known = [name for name in dict.fromkeys(task.arch_str for task in scores.tasks) if name in accuracy]
    exam = exam_on(config, np.array([accuracy[name] for name in known]))
    rounds, seed = config.evaluate.bootstrap, config.seed
    trials = sorted({(task.seed, task.batch) for task in scores.tasks})
    raw = raw_by_trial(scores, known, trials)
    rows = [
        row
        for method in (*single_predictions(scores, raw, trials), *pool_predictions(scores, raw, trials))
        for row in result_rows(method, exam, (TAU, RHO), rounds=rounds, seed=seed)
    ]
    judged, other = sample_and_rest(len(known))
    for method in fitted_predictions(raw, exam.truth, judged, other, trials):
        rows += result_rows(method, replace(exam, truth=exam.truth[other]), (TAU, RHO), rounds=rounds, seed=seed)
    append_rows(folder / "rows.jsonl", rows)
    aggregates = aggregate(rows)
    table = cost_table(aggregates)
    console.print(to_rich(table))
    text = to_markdown(table)
    beside = published_table(aggregates, published_figures(config))
    if beside.rows:
        text += "\n\n" + to_markdown(beside)
    (folder / "table.md").write_text(text + "\n")
    (folder / "table.csv").write_text(aggregates_csv(aggregates))
    plot = cost_plot(aggregates, folder / "tau-by-cost.png", title=f"{config.space.name} on {config.dataset.name}")
    for (name, reason), count in scores.failures().most_common():
        say(f"{name}: {count} of {len(scores.tasks)} without a value ({reason})")
    say(f"plot: {plot}; table: {folder / 'table.md'}; rows: {folder / 'rows.jsonl'}")


def single_predictions(scores: Scores, raw: ScoresByTrial, trials: list[tuple[int, int]]) -> list[Predictions]:
    """One method per proxy, its trials being (seed, batch)."""
    return [
        _method(name, values if PROXIES[name].higher_is_better else -values, trials, _cost(scores, (name,)))
        for name, values in raw.items()
    ]


def pool_predictions(scores: Scores, raw: ScoresByTrial, trials: list[tuple[int, int]]) -> list[Predictions]:
    """The votes and fusions whose members were all scored; they cost what their members cost."""
    methods = []
    for name, record in POOL_SCORES.items():
        if not record.needs_accuracy and set(record.members) <= raw.keys():
            values = [
                pool_score(name, {member: raw[member][t] for member in record.members}) for t in range(len(trials))
            ]
            methods.append(_method(name, np.stack(values), trials, _cost(scores, record.members)))
    return methods


def fitted_predictions(
    raw: ScoresByTrial, truth: Floats, sample: Places, rest: Places, trials: list[tuple[int, int]]
) -> list[Predictions]:
    """The pool scores that are fitted to accuracies: to those of `sample`, and judged on `rest` alone."""
    methods = []
    seen = np.full_like(truth, np.nan)
    seen[sample] = truth[sample]
    by_trial = [{proxy: values[t] for proxy, values in raw.items()} for t in range(len(trials))]
    for name in (name for name, record in POOL_SCORES.items() if record.needs_accuracy):
        try:
            values = np.stack([pool_score(name, columns, seen)[rest] for columns in by_trial])
        except EvaluationError as error:
            say(f"{name} is left out: {error}")
            continue
        picked = "; ".join(sorted({" + ".join(libra_members(columns, seen)) for columns in by_trial}))
        note = f"fitted to {counted(len(sample), 'network')}, judged on the others; picked {picked}"
        methods.append(replace(_method(name, values, trials, (None, None)), note=note))
    return methods


def sample_and_rest(count: int) -> tuple[Places, Places]:
    """Every other network, and the rest: the order of the list is random or the user's own."""
    return np.arange(0, count, 2, dtype=np.intp), np.arange(1, count, 2, dtype=np.intp)


def raw_by_trial(scores: Scores, known: list[str], trials: list[tuple[int, int]]) -> ScoresByTrial:
    """The values of each proxy, trials being (seed, batch); the scores must be of all of these tasks."""
    place = {(task.arch_str, task.seed, task.batch): row for row, task in enumerate(scores.tasks)}
    rows = np.array([[place[arch, *trial] for arch in known] for trial in trials])  # [trials, A]
    return {name: scores.values[rows, column] for column, name in enumerate(scores.names)}


def _cost(scores: Scores, members: tuple[str, ...]) -> tuple[float | None, float | None]:
    """Mean seconds and forward passes of the members together, over the networks they were tried on."""
    columns = [scores.names.index(member) for member in members]
    means = [np.nanmean(table[:, columns], axis=0).sum() for table in (scores.seconds, scores.forwards)]
    return float(means[0]), float(means[1])


def _method(
    name: str, values: Floats, trials: list[tuple[int, int]], cost: tuple[float | None, float | None]
) -> Predictions:
    seconds, forwards = cost
    return Predictions(
        method=name,
        values=values[:, None, :],
        seeds=tuple(seed for seed, _ in trials),
        query_time_s=(seconds,),
        query_forwards=forwards,
    )
