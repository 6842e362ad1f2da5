"""Further tests of a predictor that its card shows below the main one: fewer labels, other datasets."""

from collections.abc import Sequence
from dataclasses import dataclass

from nap2.evaluation.judging.differences import Difference
from nap2.evaluation.judging.metrics import TAU
from nap2.evaluation.pages.tables import to_markdown
from nap2.evaluation.pages.verdict import verdict
from nap2.evaluation.pages.views import budget_table
from nap2.evaluation.records.aggregate import Aggregate


@dataclass(frozen=True)
class FurtherTest:
    """One evaluation at one train size.

    Attributes:
        title: heading of its section.
        about: who was tested by whom, a sentence.
        found: its aggregates, all of one train size or of none.
        compared: its paired differences.
    """

    title: str
    about: str
    found: Sequence[Aggregate]
    compared: Sequence[Difference] = ()


def section(test: FurtherTest, budget: int, judged: Sequence[str]) -> str:
    """Markdown: what it was, the verdict on the `judged` methods after `budget` mini-batches, the table."""
    parts = (
        f"### {test.title}",
        test.about,
        verdict(test.found, budget, test.compared, judged),
        to_markdown(budget_table(test.found, TAU.name)).strip(),
    )
    return "\n\n".join(part for part in parts if part)


def of_size(found: Sequence[Aggregate], size: int) -> list[Aggregate]:
    """Methods fitted on so many candidates, and those that are fitted on nothing."""
    return [one for one in found if one.row.train_size in (0, size)]


def sizes_of(found: Sequence[Aggregate]) -> list[int]:
    """Train sizes of what was fitted, rising."""
    return sorted({one.row.train_size for one in found} - {0})
