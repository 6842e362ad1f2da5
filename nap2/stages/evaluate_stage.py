"""stage=evaluate: rank the test candidates at every query budget, beside the references; rows, table and plot."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from nap2.config import Config
from nap2.errors import EvaluationError, counted
from nap2.evaluation.judging.differences import Difference, differences
from nap2.evaluation.judging.exam import Exam, Predictions, split_name
from nap2.evaluation.judging.metrics import kendall_tau
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
from nap2.stages.exam.all_contenders import contenders
from nap2.stages.exam.contenders import curve_predictions
from nap2.stages.exam.contest import Contest, contest_within
from nap2.stages.exam.transfer import contest_with_checkpoint, contest_with_run
from nap2.stages.pool.encoder_name import encoder_name
from nap2.stages.pool.exam_on import exam_on
from nap2.stages.pool.sources import source_of
from nap2.stages.pool.splits import protocol_of
from nap2.stages.pool.stored import open_store


@dataclass(frozen=True)
class AtSize:
    """What the predictors of one train size came to: figures, the tables of them, files, and the result in words."""

    found: list[Aggregate]
    tables: tuple[Table, ...]
    predictions: Path
    plots: tuple[Path, ...]
    sentence: str


def run(config: Config) -> int:
    """Write rows, differences, predictions, tables and plots into the folder of results."""
    contest = contest_of(config)
    truth = np.array([contest.accuracy[arch] for arch in contest.tested])
    if np.unique(truth).size == 1:
        raise EvaluationError(
            f"Nothing can rank {counted(len(truth), 'test candidate')} of one accuracy ({100 * truth[0]:.2f} %); test "
            "on more (split.test_size, under another name=), or measure accuracies on more test images."
        )
    split, split_seed = contest.fitted.split, contest.fitted.split.seed if contest.pools else None
    exam = exam_on(config, truth, split.flavour, protocol_of(contest.fitted), split_seed)
    another_seed = another_seed_of(config, contest.target.store)
    by_curve = curve_predictions(contest) if config.evaluate.baselines else []
    done = [at_size(contest, exam, size, by_curve, another_seed) for size in _watched(contest.sizes)]
    plots, over_sizes = [plot for one in done for plot in one.plots], [a for one in done for a in one.found]
    if has_several_sizes(over_sizes):
        picture, title = _file_name(config, "tau-by-labels"), _title(config, exam, "by labelled architectures")
        plots.append(labels_plot(over_sizes, contest.results / picture, another_seed=another_seed, title=title))
    _write_tables(contest.results, [one.tables for one in done])
    predictions = (f"predictions: {one.predictions}" for one in done)
    for line in (*(one.sentence for one in done), *predictions, *(f"plot: {plot}" for plot in plots)):
        say(line)
    return 0


def at_size(
    contest: Contest, exam: Exam, size: int, by_curve: Sequence[Predictions], another_seed: float | None
) -> AtSize:
    """Fit and judge every method at one train size, and write what came out; the tables are left to the caller."""
    config, folder, methods = contest.config, contest.results, contenders(contest, size, by_curve)
    judged, rounds = methods[0], config.evaluate.bootstrap
    rows = [row for one in methods for row in result_rows(one, exam, rounds=rounds, seed=config.seed)]
    append_rows(folder / "rows.jsonl", rows)
    found, compared = aggregate(rows), compare(config, methods, exam)
    append_differences(folder / "differences.jsonl", compared, size, exam.commit)
    by_tau = budget_table(found, "kendall_tau", another_seed=another_seed)
    predictions = folder / _file_name(config, f"predictions-n{size}", ".csv")
    write_predictions(predictions, contest.tested, exam.truth, methods)
    picture, title = (
        _file_name(config, f"tau-by-budget-n{size}"),
        _title(config, exam, f"{size} training architectures"),
    )
    plots = [budget_plot(found, folder / picture, another_seed=another_seed, title=title)]
    if np.isfinite(judged.values[:, -1]).any():  # otherwise the table says that there is no rank to draw
        picture, title = _file_name(config, f"ranks-n{size}"), _title(config, exam, f"{judged.method} on {size}")
        plots.append(rank_plot(judged.values[:, -1], exam.truth, folder / picture, title=title))
    return AtSize(
        found,
        (by_tau, *([difference_table(compared)] if compared else []), budget_table(found, "spearman_rho")),
        predictions,
        tuple(plots),
        _sentence(found, judged.method, judged.query_batches[-1], another_seed),
    )


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
    text = "\n\n".join(to_markdown(table) for by_size in tables for table in by_size) + "\n"
    (folder / "table.md").write_text(text, encoding="utf-8")
    figures = aggregates_csv(aggregate(of_latest_test(read_rows(folder / "rows.jsonl"))))
    (folder / "table.csv").write_text(figures, encoding="utf-8")
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


def _title(config: Config, exam: Exam, learned: str) -> str:
    split = split_name(exam.flavour, exam.protocol)
    source = f" of {config.evaluate.source}" if config.evaluate.source else ""
    return f"{config.space.name} on {config.dataset.name}: {learned}{source}, {split}"
