"""stage=proxies: score untrained networks with every zero-cost proxy, and hold them against the truth."""

import json
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from nap2.baselines import POOL_SCORES, PROXIES, pool_score
from nap2.config import Config
from nap2.errors import EvaluationError, UnknownNameError
from nap2.evaluation.aggregate import aggregate
from nap2.evaluation.cost_plot import cost_plot
from nap2.evaluation.exam import Exam, Floats, Predictions
from nap2.evaluation.metrics import RHO, TAU
from nap2.evaluation.protocols import result_rows
from nap2.evaluation.rows import append_rows
from nap2.evaluation.tables import to_markdown, to_rich
from nap2.evaluation.views import aggregates_csv, cost_table
from nap2.snapshots.reader import open_snapshots
from nap2.stages.candidates import draw, read_arch_strs, setting_of, space_of
from nap2.stages.console import console, say
from nap2.stages.provenance import commit, versions
from nap2.stages.proxy_scores import ScoringJob, Task, read_scores, score_all
from nap2.stages.snapshot_stage import check_device, trainer_parts
from nap2.stages.splits import index_rows, labels_of

Scores = dict[Task, dict[str, dict[str, Any]]]


def run(config: Config) -> int:
    """Score what is missing; then rows, table and plot over the networks whose accuracy is known."""
    check_device(config.trainer.device)
    options = config.proxies
    for name in options.names or ():
        if name not in PROXIES:
            raise UnknownNameError("proxy (proxies.names)", name, PROXIES)
    names, accuracy = candidates_with_labels(config)
    parts = trainer_parts(config)
    job = ScoringJob(
        config.space.name,
        dict(config.space.skeleton),
        parts["reader"],
        parts["images"],
        options.batch_size,
        config.trainer.device,
        tuple(options.names) if options.names else None,
    )
    tasks = [Task(n, s, b) for n in names for s in options.seeds for b in range(options.batches)]
    folder = Path(config.paths.runs) / "proxies"
    path = folder / _scores_file(config)
    say(f"{len(names)} networks × {len(options.seeds)} seeds × {options.batches} batches, into {path}")
    score_all(job, tasks, path, config.workers)
    wanted = set(tasks)
    found = {task: scores for task, scores in read_scores(path, job.names) if task in wanted}
    report(config, found, accuracy, folder)
    return 0


def candidates_with_labels(config: Config) -> tuple[list[str], dict[str, float]]:
    """The networks to score, and the accuracies that are known of them.

    With measured labels these are the store's candidates; with published ones a list, or a draw from the space.
    """
    options, space = config.proxies, space_of(config)
    if config.labels == "measured":
        accuracy = labels_of(config, index_rows(config, open_snapshots(Path(config.paths.store))))
        return sorted(accuracy)[: options.num_candidates], accuracy
    if options.candidates:
        names = read_arch_strs(Path(options.candidates), space)[: options.num_candidates]
    else:
        names = draw(space, options.num_candidates, config.snapshot.sample_seed, config.snapshot.one_per_class)
    from nap2.truth import TruthTable

    table = TruthTable.open(Path(config.paths.truth) / f"{space.name}.h5")
    values = table.accuracies(config.dataset.stand_in_for or config.dataset.name, names)
    return names, {name: float(v) for name, v in zip(names, values, strict=True) if np.isfinite(v)}


def report(config: Config, found: Scores, accuracy: dict[str, float], folder: Path) -> None:
    """Write rows, table, plot and the reasons of all failures."""
    known = sorted({task.arch_str for task in found} & accuracy.keys())
    if len(known) < 3:
        raise EvaluationError(f"Only {len(known)} scored networks have a known accuracy; score at least 3 that do.")
    exam = Exam(
        space=config.space.name,
        target=config.dataset.stand_in_for or config.dataset.name,
        truth=np.array([accuracy[name] for name in known]),
        recipe=str(config.recipe["name"]),
        label="published" if config.labels == "truth" else "measured",
        stand_in=config.dataset.stand_in_for is not None,
        versions=versions(),
        commit=commit(),
        date=datetime.now(UTC).isoformat(timespec="seconds"),
    )
    methods = predictions(config, found, known)
    rows = [
        row
        for method in methods
        for row in result_rows(method, exam, (TAU, RHO), rounds=config.evaluate.bootstrap, seed=config.seed)
    ]
    append_rows(folder / "rows.jsonl", rows)
    aggregates = aggregate(rows)
    table = cost_table(aggregates)
    console.print(to_rich(table))
    (folder / "table.md").write_text(to_markdown(table) + "\n")
    (folder / "table.csv").write_text(aggregates_csv(aggregates))
    plot = cost_plot(aggregates, folder / "tau-by-cost.png", title=f"{config.space.name} on {config.dataset.name}")
    _say_failures(found)
    say(f"plot: {plot}; table: {folder / 'table.md'}; rows: {folder / 'rows.jsonl'}")


def predictions(config: Config, found: Scores, known: list[str]) -> list[Predictions]:
    """One per proxy, its trials being (seed, batch); then the scores over the pool that these allow."""
    options = config.proxies
    trials = [(seed, batch) for seed in options.seeds for batch in range(options.batches)]
    names = list(next(iter(found.values())))
    raw = {name: _columns(found, known, trials, name, "value") for name in names}  # [trials, A]
    seconds = {name: float(np.nanmean(_columns(found, known, trials, name, "seconds"))) for name in names}
    methods = [
        _method(name, values if PROXIES[name].higher_is_better else -values, trials, seconds[name])
        for name, values in raw.items()
    ]
    for name, record in POOL_SCORES.items():
        if record.members and set(record.members) <= raw.keys():
            by_trial = [pool_score(name, {m: raw[m][t] for m in record.members}) for t in range(len(trials))]
            cost = sum(seconds[member] for member in record.members)
            methods.append(_method(name, np.stack(by_trial), trials, cost))
    return methods


def _method(name: str, values: Floats, trials: list[tuple[int, int]], seconds: float) -> Predictions:
    return Predictions(
        method=name,
        values=values[:, None, :],
        seeds=tuple(seed for seed, _ in trials),
        query_time_s=(seconds,),
    )


def _columns(found: Scores, known: list[str], trials: list[tuple[int, int]], name: str, field: str) -> Floats:
    """`[trials, A]`, NaN where there is no value."""
    table = [[found.get(Task(arch, *trial), {}).get(name, {}).get(field) for arch in known] for trial in trials]
    return np.array(table, dtype=np.float64)


def _say_failures(found: Scores) -> None:
    reasons = Counter(
        (name, score["failure"]) for scores in found.values() for name, score in scores.items() if score["failure"]
    )
    for (name, reason), count in reasons.most_common():
        say(f"{name}: {count} of {len(found)} without a value ({reason})")


def _scores_file(config: Config) -> str:
    """Scores of another setting or batch size are never mixed in."""
    setting = {**setting_of(config).as_dict(), "batch_size": config.proxies.batch_size}
    from nap2.seeding import seed_from

    return f"scores-{seed_from(json.dumps(setting, sort_keys=True)) % 16**8:08x}.jsonl"
