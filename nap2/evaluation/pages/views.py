"""Aggregates into the tables that are printed: by query budget, by difference, by cost."""

from collections.abc import Iterable, Sequence
from math import isfinite

from nap2.evaluation.judging.differences import Difference
from nap2.evaluation.judging.exam import HOLDOUT, split_name
from nap2.evaluation.judging.metrics import METRICS, RHO, TAU
from nap2.evaluation.pages.tables import Table
from nap2.evaluation.records.aggregate import Aggregate
from nap2.evaluation.records.as_text import bounds, error, figure, method_label, seconds
from nap2.evaluation.records.csv_text import to_csv

MOST_COLUMNS = 7
SHOWN_SNAPSHOTS = (1, 2, 3, 7, 11, 17, 23)
"""The budgets of the paper's Tables 4-6, shown where there are more budgets than columns."""


def budget_table(
    aggregates: Iterable[Aggregate],
    metric: str = "kendall_tau",
    another_seed: float | None = None,
) -> Table:
    """Methods by query budget: mean ± standard deviation over trials, best first at the largest budget.

    Where there are more budgets than columns, those of the paper are shown.
    A method that could score no candidate at any budget has no row; the notes name it, and why.

    Args:
        aggregates: of one target and flavour; those of other metrics are passed over.
        metric: name in `METRICS`.
        another_seed: what the final accuracies of the same networks under another seed reach, for the notes.
    """
    chosen = [found for found in aggregates if found.row.metric == metric]
    columns = _columns(chosen)
    chosen, unscored = _apart(chosen)
    by_method: dict[str, dict[int, Aggregate]] = {}
    for found in chosen:
        by_method.setdefault(method_label(found), {})[found.row.query_batches] = found
    names = sorted(by_method, key=lambda name: _latest(by_method[name]), reverse=True)
    rows = tuple((name, *(figure(by_method[name].get(budget)) for budget in columns)) for name in names)
    best = {(row, column + 1) for column, budget in enumerate(columns) for row in _best(names, by_method, budget)}
    return Table(
        title=f"{METRICS[metric].label} by mini-batches seen, {setting_of_rows(chosen)}",
        header=("method", *map(str, columns)),
        rows=rows,
        notes=(*_notes(chosen, metric, another_seed), *_without_score(unscored)),
        bold=frozenset(best),
    )


def difference_table(differences: Sequence[Difference]) -> Table:
    """Each method against one, with the interval, and the word for it; none where no candidate has both scores.

    Where all are held against the same, the title names it; otherwise each row does.
    """
    label = METRICS[differences[0].metric].label if differences else "the metric"
    references = {(_with_source(one.against, one.against_source), one.against_batches) for one in differences}
    reference, batches = references.pop() if len(references) == 1 else ("", 0)
    rows = tuple(
        (
            _with_source(found.method, found.source),
            *(() if reference else (_with_source(found.against, found.against_source),)),
            str(found.query_batches),
            *(() if reference else (str(found.against_batches),)),
            *_gap_and_interval(found),
            found.verdict,
        )
        for found in differences
        if found.num_test
    )
    against = f" against {reference} after {batches} mini-batches" if reference else ""
    columns = ("method", "batches") if reference else ("method", "against", "batches", "against at")
    return Table(
        title=f"Paired differences in {label}{against}",
        header=(*columns, "difference", "95 % interval", "verdict"),
        rows=rows,
        notes=(
            "Paired over the test candidates. A difference whose bootstrap interval holds 0 is called none. Each "
            "interval stands for itself: of twenty methods that do not differ, one is expected to seem to.",
        ),
    )


def _with_source(method: str, source: str) -> str:
    return f"{method} ({source})" if source else method


def _gap_and_interval(found: Difference) -> tuple[str, str]:
    one = found.interval
    gap = f"{one.value:+.3f}" if isfinite(one.value) else "–"
    return gap, "–" if found.verdict == "undefined" else f"[{one.low:+.3f}, {one.high:+.3f}]"


def cost_table(aggregates: Iterable[Aggregate]) -> Table:
    """Methods by rank correlation and by what they cost, best first; failed candidates are shown."""
    metrics = (TAU.name, RHO.name)
    by_method: dict[str, dict[str, Aggregate]] = {}
    chosen = [found for found in aggregates if found.row.metric in metrics]
    for found in chosen:
        by_method.setdefault(method_label(found), {})[found.row.metric] = found
    names = sorted(by_method, key=lambda name: _mean(by_method[name].get(metrics[0])), reverse=True)
    rows = []
    for name in names:
        row = next(iter(by_method[name].values())).row
        cells = [cell for metric in metrics for cell in _with_error(by_method[name].get(metric))]
        costs = (seconds(row.query_forwards), seconds(row.query_time_s))
        rows.append((name, *cells, *costs, str(row.num_test), str(row.num_failed)))
    labels = [text for metric in metrics for text in (METRICS[metric].label, "s.e.")]
    return Table(
        title=f"Rank correlation and cost, {setting_of_rows(chosen)}",
        header=("method", *labels, "forwards", "s per candidate", "scored", "failed"),
        rows=tuple(rows),
        notes=(
            "± standard deviation over seeds and batches, where there are several; s.e.: bootstrap standard error over "
            "candidates; in brackets: 95 % bootstrap interval.",
            "forwards: cost in forward passes of one mini-batch, a backward pass counting as two.",
            *marks(chosen),
            *_own_notes(chosen),
        ),
    )


def aggregates_csv(aggregates: Iterable[Aggregate]) -> str:
    """Every aggregate in full precision, one line each."""
    setting = ("method", "space", "source", "target", "recipe", "flavour", "protocol", "encoder")
    names = (*setting, "train_size", "query_batches", "snapshots")
    more = ("num_test", "num_failed", "init_time_s", "query_time_s", "label", "stand_in", "cae_pool", "commit", "note")
    header = (*names, "metric", "mean", "std", "low", "high", "num_trials", "num_undefined", *more)
    rows = [
        [*(getattr(found.row, name) for name in (*names, "metric"))]
        + [found.mean, found.std, found.row.low, found.row.high, found.num_trials, found.num_undefined]
        + [getattr(found.row, name) for name in more]
        for found in aggregates
    ]
    return to_csv(header, rows)


def _with_error(found: Aggregate | None) -> tuple[str, str]:
    return f"{figure(found)} {bounds(found)}".strip(), error(found)


def _own_notes(chosen: Sequence[Aggregate]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(f"{found.row.method}: {found.row.note}." for found in chosen if found.row.note))


def _mean(found: Aggregate | None) -> float:
    return found.mean if found is not None and found.mean is not None else float("-inf")


def _apart(chosen: Sequence[Aggregate]) -> tuple[list[Aggregate], list[Aggregate]]:
    """What is shown, and what is of methods that could score no candidate at any budget."""
    scored = {method_label(one) for one in chosen if one.row.num_test}
    shown = [one for one in chosen if method_label(one) in scored]
    return shown, [one for one in chosen if method_label(one) not in scored]


def _without_score(unscored: Sequence[Aggregate]) -> tuple[str, ...]:
    """One note for all methods that lack a score for the same reason."""
    names: dict[str, dict[str, None]] = {}
    for found in unscored:
        names.setdefault(found.row.note, {})[found.row.method] = None
    return tuple(f"Not in the table: {', '.join(methods)} ({reason})." for reason, methods in names.items())


def _latest(by_budget: dict[int, Aggregate]) -> float:
    return _mean(by_budget[max(by_budget)])


def _best(names: Sequence[str], by_method: dict[str, dict[int, Aggregate]], budget: int) -> list[int]:
    means = [_mean(by_method[name].get(budget)) for name in names]
    top = max(means, default=float("-inf"))
    return [row for row, mean in enumerate(means) if mean == top and mean > float("-inf") and len(means) > 1]


def _columns(chosen: Sequence[Aggregate]) -> tuple[int, ...]:
    snapshots = {found.row.query_batches: found.row.snapshots for found in chosen}
    if len(snapshots) <= MOST_COLUMNS + 1:
        return tuple(sorted(snapshots))
    last = max(snapshots.values())
    return tuple(sorted(b for b, count in snapshots.items() if count in (0, *SHOWN_SNAPSHOTS, last)))


def setting_of_rows(chosen: Sequence[Aggregate]) -> str:
    """Space, target and split, for a title."""
    if not chosen:
        return "no rows"
    routes = {f"{found.row.space}/{found.row.target}" for found in chosen}
    flavours = {split_name(found.row.flavour, found.row.protocol) for found in chosen}
    return f"{', '.join(sorted(routes))}, {', '.join(sorted(flavours))}"


def _notes(chosen: Sequence[Aggregate], metric: str, another_seed: float | None) -> tuple[str, ...]:
    tests = sorted({found.row.num_test for found in chosen if found.row.num_test})
    trials = sorted({found.num_trials for found in chosen if found.row.num_test})
    notes = [f"Mean ± standard deviation over trials ({_span(trials)}); {_span(tests)} test candidates."]
    if tests:
        notes.append(
            f"Chance: {METRICS[metric].chance(max(found.row.num_asked for found in chosen)):.3g}"
            + (f"; the same networks under another seed: {another_seed:.3f}." if another_seed is not None else ".")
        )
    return (*notes, *marks(chosen))


def marks(chosen: Sequence[Aggregate]) -> tuple[str, ...]:
    """What a reader must know of these figures, one each: stand-ins, failures, folds, other labels."""
    notes = []
    if any(found.row.stand_in for found in chosen):
        notes.append("† trained on a stand-in of the dataset whose accuracies it is judged by.")
    latest = {found.row.method: found.row.num_failed for found in sorted(chosen, key=lambda one: one.row.query_batches)}
    failed = [f"{name} {count}" for name, count in latest.items() if count]
    if failed:
        notes.append(f"Candidates without a score: {', '.join(failed)}.")
    partly = {found.row.method: found for found in chosen if found.num_trials and found.num_undefined}
    if partly:
        counts = (f"{name} {one.num_undefined} of {one.num_trials + one.num_undefined}" for name, one in partly.items())
        notes.append(f"Trials without a figure (all scores equal), which no mean counts: {', '.join(counts)}.")
    if any(not found.row.protocol.startswith(HOLDOUT) for found in chosen):
        notes.append(
            "Each candidate is predicted by fits that saw neither it nor its class; one τ per repeat, over all."
        )
    if sizes := {found.row.skeleton for found in chosen if found.row.skeleton}:
        notes.append(f"The networks are not of the published size: {'; '.join(sorted(sizes))}.")
    if any(found.row.label == "measured" for found in chosen):
        notes.append("Judged by accuracies measured here, one training run each.")
    seen = [found.row for found in chosen if found.row.label == "imported" and found.row.query_batches]
    if own := {row.recipe for row in seen if row.recipe not in ("", row.space)}:  # a benchmark's own has its name
        names = ", ".join(sorted(own))
        notes.append(
            f"Trained with {names}, judged by imported accuracies: a benchmark's are of networks trained otherwise."
        )
    return tuple(notes)


def _span(numbers: Sequence[int]) -> str:
    if not numbers:
        return "no"
    return str(numbers[0]) if len(numbers) == 1 else f"{numbers[0]}–{numbers[-1]}"
