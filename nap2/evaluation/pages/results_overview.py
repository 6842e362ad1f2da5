"""The first table of the results page: what each section says of NAP2 and of what it must beat, one line each."""

from collections.abc import Mapping, Sequence

from nap2.evaluation.pages.tables import Table
from nap2.evaluation.records.aggregate import Aggregate
from nap2.evaluation.records.as_text import figure

SHOWN: Mapping[str, str] = {
    "nap2 (pca encoder)": "NAP2",
    "graph regression": "graph regression",
    "parameters": "parameters",
    "early_stopping": "early stopping",
}
"""Methods by the name of their column. All were chosen before they were measured: none is a best of many."""

NAP2 = next(iter(SHOWN))


def overview(sections: Mapping[str, Sequence[Aggregate]]) -> Table:
    """Kendall τ at the last budget, with the most labels that a section has of each source.

    Args:
        sections: the aggregates of each section, by its heading.
    """
    rows = []
    for heading, found in sections.items():
        first, *more = _lines(found) or [()]
        rows += [(heading, *first), *(("", *line) for line in more)] if first else []
    return Table(
        title="Kendall τ in short",
        header=("section", "labels from", "labels", "tested", "mini-batches", *SHOWN.values()),
        rows=tuple(rows),
        notes=(
            "Mean ± standard deviation over repeats of the fit. Encoders by principal components.",
            "Labels: those of the candidates that one predictor was fitted on; a few more chose when to stop.",
            "The number of parameters and the regression on the cell's graph see no mini-batch.",
        ),
    )


def most_labels(found: Sequence[Aggregate]) -> dict[str, int]:
    """The largest train size of each source that something was fitted on."""
    fitted = [one.row for one in found if one.row.source]
    return {
        source: max(row.train_size for row in fitted if row.source == source)
        for source in dict.fromkeys(row.source for row in fitted)
    }


def _lines(found: Sequence[Aggregate]) -> list[tuple[str, ...]]:
    """A line per source that NAP2 learned from, without the section's heading; no method at more than its budget."""
    taus = sorted((one for one in found if one.row.metric == "kendall_tau"), key=lambda one: one.row.query_batches)
    lines = []
    for source, most in most_labels([one for one in taus if one.row.method == NAP2]).items():
        fitted = [one for one in taus if (one.row.source, one.row.train_size) in ((source, most), ("", 0))]
        row = [one.row for one in fitted if one.row.method == NAP2][-1]
        cells = {one.row.method: one for one in fitted if one.row.query_batches <= row.query_batches}
        figures = (figure(cells.get(method)) for method in SHOWN)
        lines.append((source, str(most), str(row.num_test), str(row.query_batches), *figures))
    return lines
