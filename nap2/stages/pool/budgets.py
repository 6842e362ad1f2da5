"""At how many snapshots methods are compared."""

from dataclasses import dataclass

from nap2.config import Config
from nap2.errors import EvaluationError


@dataclass(frozen=True)
class Budgets:
    """Query budgets in snapshots and in mini-batches."""

    snapshots: tuple[int, ...]
    every: int

    @property
    def batches(self) -> tuple[int, ...]:
        """The same, in mini-batches."""
        return tuple(count * self.every for count in self.snapshots)


def budgets_of(config: Config) -> Budgets:
    """The numbers of snapshots at which methods are compared.

    Raises:
        EvaluationError: if one is beyond what the store was asked to hold.
    """
    most = config.snapshot.num_snapshots
    wanted = config.evaluate.budgets or range(1, most + 1)
    if any(not 1 <= count <= most for count in wanted):
        raise EvaluationError(f"evaluate.budgets={list(wanted)} must lie in 1..{most} (snapshot.num_snapshots).")
    return Budgets(tuple(sorted(set(wanted))), config.snapshot.every)
