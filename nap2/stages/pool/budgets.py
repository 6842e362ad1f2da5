"""At how many snapshots methods are compared."""

from nap2.config import Config
from nap2.errors import EvaluationError


def budgets_of(config: Config) -> tuple[int, ...]:
    """The numbers of snapshots at which methods are compared, rising.

    Raises:
        EvaluationError: if one is beyond what the store was asked to hold.
    """
    most = config.snapshot.num_snapshots
    wanted = config.evaluate.budgets or range(1, most + 1)
    if any(not 1 <= count <= most for count in wanted):
        raise EvaluationError(f"evaluate.budgets={list(wanted)} must lie in 1..{most} (snapshot.num_snapshots).")
    return tuple(sorted(set(wanted)))
