"""stage=evaluate: rank the test candidates at every query budget, beside the references; rows, table and plot."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from nap2.config import Config
from nap2.errors import EvaluationError, counted
from nap2.evaluation.judging.differences import Difference, differences
from nap2.evaluation.judging.exam import Exam, Predictions
from nap2.evaluation.judging.metrics import kendall_tau
from nap2.evaluation.judging.pooling import pooled
from nap2.evaluation.pages.tables import Table, to_markdown, to_rich
from nap2.evaluation.pages.verdict import is_ours
from nap2.evaluation.pages.views import aggregates_csv, budget_table, difference_table
from nap2.evaluation.plots.budget_plot import budget_plot
from nap2.evaluation.plots.labels_plot import has_several_sizes, labels_plot
from nap2.evaluation.plots.rank_plot import rank_plot
from nap2.evaluation.records.aggregate import Aggregate, aggregate
from nap2.evaluation.records.difference_log import append_differences
from nap2.evaluation.records.latest_test import of_latest_test
from nap2.evaluation.records.prediction_file import write_predictions
from nap2.evaluation.records.protocols import result_rows
from nap2.evaluation.records.rows import append_rows, read_rows
from nap2.snapshots.index import refresh_index
from nap2.snapshots.reader import SnapshotReader
from nap2.stages.command.console import console, say, track
from nap2.stages.exam.contenders import curve_predictions, graph_predictions, size_predictions
from nap2.stages.exam.contest import Contest, contest_within
from nap2.stages.exam.fusion_contenders import fused_predictions
from nap2.stages.exam.lcsvr_contender import lcsvr_predictions
from nap2.stages.exam.own_contender import nap2_predictions
from nap2.stages.exam.proxy_contenders import proxy_predictions
from nap2.stages.exam.released_contender import released_predictions
from nap2.stages.exam.released_graph import released_graph
from nap2.stages.exam.transfer import contest_with_checkpoint, contest_with_run
from nap2.stages.fitting.variants import fitted_variants
from nap2.stages.pool.encoder_name import encoder_name
from nap2.stages.pool.exam_on import exam_on
from nap2.stages.pool.sources import source_of
from nap2.stages.pool.splits import protocol_of
from nap2.stages.pool.stored import open_store


def run(config: Config) -> int:
    """Write rows, differences, predictions, tables and plots into the folder of results."""
    contest = contest_of(config)
    truth, folder = np.array([contest.accuracy[arch] for arch in contest.tested]), contest.results
    if np.unique(truth).size == 1:
        raise EvaluationError(
            f"Nothing can rank {counted(len(truth), 'test candidate')} of one accuracy ({100 * truth[0]:.2f} %); test "
            "on more (split.test_size, under another name=), or measure accuracies on more test images."
        )
    split, split_seed = contest.fitted.split, contest.fitted.split.seed if contest.pools else None
    exam = exam_on(config, truth, split.flavour, protocol_of(contest.fitted), split_seed)
    another_seed = another_seed_of(config, contest.target.store)
    by_curve = curve_predictions(contest) if config.evaluate.baselines else []
    tables: list[tuple[Table, ...]] = []
    plots: list[Path] = []
    said: list[Path] = []
    summary: list[str] = []
    over_sizes: list[Aggregate] = []
    for size in _watched(contest.sizes):
        methods = contenders(contest, size, by_curve)
        rows = [r for m in methods for r in result_rows(m, exam, rounds=config.evaluate.bootstrap, seed=config.seed)]
        append_rows(folder / "rows.jsonl", rows)
        found = aggregate(rows)
        compared = compare(config, methods, exam)
        append_differences(folder / "differences.jsonl", compared, size, exam.commit)
        by_tau, by_rho = (
            budget_table(found, "kendall_tau", another_seed=another_seed),
            budget_table(found, "spearman_rho"),
        )
        tables.append((by_tau, difference_table(compared), by_rho))
        said.append(folder / _file_name(config, f"predictions-n{size}", ".csv"))
        write_predictions(said[-1], contest.tested, truth, methods)
        picture, title = _file_name(config, f"tau-by-budget-n{size}"), _title(config, f"{size} training architectures")
        plots.append(budget_plot(found, folder / picture, another_seed=another_seed, title=title))
        picture, title = _file_name(config, f"ranks-n{size}"), _title(config, f"{methods[0].method} on {size}")
        plots.append(rank_plot(methods[0].values[:, -1], truth, folder / picture, title=title))
        summary.append(_sentence(found, methods[0].method, methods[0].query_batches[-1], another_seed))
        over_sizes += found
    if has_several_sizes(over_sizes):
        picture, title = _file_name(config, "tau-by-labels"), _title(config, "by labelled architectures")
        plots.append(labels_plot(over_sizes, folder / picture, another_seed=another_seed, title=title))
    _write_tables(folder, tables)
    for line in (*summary, *(f"predictions: {path}" for path in said), *(f"plot: {plot}" for plot in plots)):
        say(line)
    return 0


def _watched(sizes: Sequence[int]) -> Iterable[int]:
    """Several train sizes show how far they are; a single one leaves the console to what it is judged by."""
    return track(sizes, "train sizes", len(sizes)) if len(sizes) > 1 else sizes


def contest_of(config: Config) -> Contest:
    """The contest that a config asks for: within its store, or with what `evaluate.source` names.

    Raises:
        ConfigError, EvaluationError, StoreError, CheckpointError: in one line, for what is missing or does not fit.
    """
    store = open_store(config)
    if not config.evaluate.source:
        return contest_within(config, store)
    source = source_of(config, config.evaluate.source)
    if isinstance(source, Path):
        return contest_with_checkpoint(config, store, source)
    return contest_with_run(config, store, source)


def contenders(contest: Contest, size: int, by_curve: Sequence[Predictions]) -> list[Predictions]:
    """Every method of the table, the judged one first (NAP2, or NAP2+ with its parts), fitted pool by pool.

    Args:
        contest: who is fitted on what, and tested on whom.
        size: labelled candidates that methods are fitted on.
        by_curve: what the early curves say without any predictor.
    """
    config, fitted, pools, released = contest.config, contest.fitted, contest.pools, contest.released
    shares_graphs = bool(pools) and fitted.space.name == config.space.name
    methods: list[Predictions] = []
    if "fusion" in config.model and shares_graphs:
        by_pool = [fused_predictions(contest, pool, size) for pool in pools]
        methods += [joined(contest, variants) for variants in zip(*by_pool, strict=True)]
    if released is not None:
        methods.append(released_predictions(contest, released))
    else:
        for variant in fitted_variants(pools, size, contest.snapshots):
            own = [nap2_predictions(contest, pool, size, variant) for pool in pools]
            methods.append(joined(contest, own, *(one.dataset for one in pools[0].companions)))
    if not config.evaluate.baselines:
        return methods
    if pools:
        by_curve = [*by_curve, joined(contest, [lcsvr_predictions(contest, pool, size) for pool in pools])]
    if shares_graphs:
        by_graph = [joined(contest, [graph_predictions(fitted, pool, size) for pool in pools])]
    else:
        by_graph = [] if released is None else released_graph(contest, released)
    return [*methods, *by_curve, size_predictions(contest), *by_graph, *proxy_predictions(config, contest.tested)]


def joined(contest: Contest, parts: Sequence[Predictions], *beside: str) -> Predictions:
    """One method, fitted on each pool and asked about its test candidates, over all candidates that are tested."""
    tested = [pool.test for pool in contest.pools]
    found = pooled(list(zip(tested, parts, strict=True)), contest.tested)
    return replace(found, source="+".join((contest.source, *beside)))


def compare(config: Config, methods: list[Predictions], exam: Exam) -> list[Difference]:
    """All methods against the judged one at its largest budget; where that is NAP2+, all others against NAP2 too."""
    held = partial(differences, exam=exam, rounds=config.evaluate.bootstrap, seed=config.seed)
    found = held(methods[1:], methods[0])
    own = next(place for place, one in enumerate(methods) if one.method.split(" ")[0] == "nap2")
    return found + (held(methods[1:], methods[own]) if own else [])


def another_seed_of(config: Config, store: SnapshotReader) -> float | None:
    """τ between the final accuracies of two seeds, over the candidates trained twice; None where there are too few.

    A yardstick and no ceiling: what is known of the networks' expected accuracy comes closer to one run than another
    run does.
    """
    if config.labels != "measured":
        return None
    seed = int(config.recipe.get("seed", 0))
    rows = refresh_index(store).rows
    final = {(row.arch_str, row.seed): row.final_accuracy for row in rows if row.final_accuracy is not None}
    twice = [arch for arch, own in final if own == seed and (arch, seed + 1) in final]
    if len(twice) < 10:
        return None
    tau = kendall_tau(*([final[arch, s] for arch in twice] for s in (seed, seed + 1)))
    say(f"another seed: τ {tau:.3f} between the final accuracies of two seeds, over {len(twice)} candidates")
    return tau


def _write_tables(folder: Path, tables: Sequence[tuple[Table, ...]]) -> None:
    """What matters most stands first in a file, and last on a terminal."""
    for by_size in tables:
        for table in reversed(by_size):
            console.print(to_rich(table))
    (folder / "table.md").write_text("\n\n".join(to_markdown(table) for by_size in tables for table in by_size) + "\n")
    (folder / "table.csv").write_text(aggregates_csv(aggregate(of_latest_test(read_rows(folder / "rows.jsonl")))))
    say(f"tables: {folder / 'table.md'}, {folder / 'table.csv'}; rows: {folder / 'rows.jsonl'}")


def _sentence(found: list[Aggregate], method: str, budget: int, another_seed: float | None) -> str:
    """The result in words: what is judged, the best reference, chance, and another seed, at the largest budget."""
    reached = [one for one in found if one.row.metric == "kendall_tau" and one.row.query_batches in (0, budget)]
    own = next((one.mean for one in reached if one.row.method == method), None)
    taus = {one.row.method: one.mean for one in reached if one.mean is not None and not is_ours(one)}
    name = method.replace("nap2_plus", "NAP2+").replace("nap2", "NAP2")
    reaches = "undefined" if own is None else f"{own:.3f}"
    text = f"after {counted(budget, 'mini-batch', 'mini-batches')}: {name} τ {reaches}; chance 0"
    if another_seed is not None:
        text += f"; another seed of the same networks {another_seed:.3f}"
    if taus:
        best = max(taus, key=lambda name: taus[name])
        text += f"; best reference: {best} {taus[best]:.3f}"
    return text


def _file_name(config: Config, stem: str, suffix: str = ".png") -> str:
    encoder = encoder_name(config)
    return stem + ("" if encoder == "cae" else f"-{encoder}") + suffix


def _title(config: Config, learned: str) -> str:
    split = config.split.flavour if not config.split.folds else f"{config.split.flavour} {protocol_of(config)}"
    source = f" of {config.evaluate.source}" if config.evaluate.source else ""
    return f"{config.space.name} on {config.dataset.name}: {learned}{source}, {split} split"
