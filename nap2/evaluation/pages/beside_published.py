"""Our figures beside the published ones of the same method, and which gaps ask for an explanation."""

from collections.abc import Iterable, Sequence

from nap2.evaluation.judging.metrics import METRICS, RHO, TAU
from nap2.evaluation.pages.tables import Table
from nap2.evaluation.pages.views import marks, setting_of_rows
from nap2.evaluation.records.aggregate import Aggregate
from nap2.evaluation.records.as_text import error, figure, method_label
from nap2.evaluation.records.published import PublishedFigure, matching

LARGE_GAP = 0.05
"""What may lie between our figure and a published one without a word."""
CUT_AFTER_SHUFFLING = (
    "The paper's shuffled readings of small budgets were exposed to later snapshots (App. H.2), ours not."
)

PUBLISHED_TEST = 200
"""Test candidates of the paper's recall and coverage (6.2, App. F.1)."""

AMONG_MORE = (
    f"The paper's recall and coverage are among {PUBLISHED_TEST} test candidates, ours among {{}}: of more, the same "
    "ranking finds fewer."
)

OWN_LC_PFN = (
    "lc_pfn is a small network fitted here to the published prior; the figures beside it are of published weights."
)


def published_table(aggregates: Iterable[Aggregate], published: Sequence[PublishedFigure]) -> Table:
    """Our figures beside the published ones of the same method, metric, source, target and snapshots.

    A gap is marked where it is above `LARGE_GAP` and above two standard errors of ours. A method that could score no
    candidate has no row.
    """
    rows, shown = [], []
    for found in aggregates:
        for other in matching(found.row, published) if found.row.num_test else ():
            printed = f"{other.mean:.3f}" + (f" ± {other.std:.3f}" if other.std is not None else "")
            route = f"{found.row.source or 'none'} → {found.row.target}"
            label, batches = METRICS[found.row.metric].label, str(found.row.query_batches)
            ours = (figure(found), error(found))
            rows.append((method_label(found), route, label, batches, *ours, printed, _gap(found, other), other.place))
            shown.append(found)
    return Table(
        title=f"Ours ({setting_of_rows(shown)}) beside the published figures",
        header=("method", "source → target", "metric", "batches", "ours", "s.e.", "published", "gap", "where"),
        rows=tuple(rows),
        notes=(
            "The NAP2 paper's figures are means over its own trials, on splits of the flavour `paper`.",
            f"* a gap above {LARGE_GAP} and above two standard errors of ours.",
            *([CUT_AFTER_SHUFFLING] if any("shuffled" in found.row.method for found in shown) else []),
            *([OWN_LC_PFN] if any(found.row.method == "lc_pfn" for found in shown) else []),
            *_among(shown),
            *marks(shown),
        ),
    )


def _among(shown: Sequence[Aggregate]) -> list[str]:
    """What to say where a recall or coverage is of another number of test candidates than the published ones."""
    tops = (found.row for found in shown if found.row.metric not in (TAU.name, RHO.name))
    others = sorted({row.num_asked for row in tops} - {PUBLISHED_TEST})
    return [AMONG_MORE.format(", ".join(map(str, others)))] if others else []


def is_large(found: Aggregate, other: PublishedFigure) -> bool:
    """Whether a gap asks for an explanation; one without a standard error always does."""
    if found.mean is None:
        return False
    gap = abs(found.mean - other.mean)
    return gap > LARGE_GAP and gap > 2 * (found.row.standard_error or 0.0)


def _gap(found: Aggregate, other: PublishedFigure) -> str:
    if found.mean is None:
        return ""
    return f"{found.mean - other.mean:+.3f}{' *' if is_large(found, other) else ''}"
