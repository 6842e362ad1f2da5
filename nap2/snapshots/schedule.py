"""When snapshots are taken: snapshot k = 1..limit at optimizer step every · k, before that step changes the weights."""

import operator
from dataclasses import dataclass

from nap2.errors import NetworkError
from nap2.schema import DEFAULT_EVERY, MAX_SNAPSHOTS


@dataclass(frozen=True, slots=True)
class Schedule:
    """Every how many optimizer steps, and how often.

    Raises:
        NetworkError: if either is no whole number from 1 on.
    """

    every: int = DEFAULT_EVERY
    limit: int = MAX_SNAPSHOTS

    def __post_init__(self) -> None:
        try:
            every, limit = operator.index(self.every), operator.index(self.limit)
        except TypeError:
            every = limit = 0
        if min(every, limit) < 1:
            raise NetworkError(
                f"A recorder needs whole numbers every >= 1 and limit >= 1, not every={self.every!r}, "
                f"limit={self.limit!r}."
            )
        object.__setattr__(self, "every", every)  # those of other libraries become ints
        object.__setattr__(self, "limit", limit)

    def is_due(self, step: int) -> bool:
        """Whether a snapshot belongs to this optimizer step; the first step is 1."""
        return step % self.every == 0 and 1 <= step // self.every <= self.limit

    def num_due(self, step: int) -> int:
        """Snapshots that have been taken once this step is done."""
        return min(step // self.every, self.limit)
