"""All 15,625 cells in the official order."""

import random
from functools import cache
from itertools import product

from nap2.spaces.nasbench201.cell import EDGES, OPERATIONS, Cell

ORDER_SEED = 88  # of the published enumeration; Python's shuffle of a seeded `random.Random` is stable across versions


@cache
def arch_strings() -> tuple[str, ...]:
    """Every arch string; the position is the benchmark's index."""
    names = [str(Cell(operations)) for operations in product(OPERATIONS, repeat=len(EDGES))]
    random.Random(ORDER_SEED).shuffle(names)
    return tuple(names)
