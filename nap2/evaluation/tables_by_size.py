"""The budget tables of a page: one per train size and metric, so that no table mixes sizes."""

from collections.abc import Sequence

from nap2.evaluation.aggregate import Aggregate
from nap2.evaluation.tables import Table
from nap2.evaluation.views import budget_table


def tables_by_size(found: Sequence[Aggregate], metrics: Sequence[str] = ("kendall_tau", "spearman_rho")) -> list[Table]:
    """Methods by budget at each train size, those that are fitted on nothing (size 0) in every one."""
    sizes = sorted({one.row.train_size for one in found} - {0})
    chosen = [[one for one in found if one.row.train_size in (0, size)] for size in sizes]
    return [budget_table(those, metric) for those in chosen for metric in metrics]
