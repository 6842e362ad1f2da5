"""Numbers read off a cell without building it: the input of the graph regression that every predictor must beat."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from nap2.spaces.nasbench201.cell import EDGES, NUM_NODES, OPERATIONS, Cell

PATHS = ((3,), (1, 5), (0, 4), (0, 2, 5))
"""The four ways from input to output, as edges; sorted by length, then by node."""

COUNTED = OPERATIONS[1:]


def _names() -> Iterator[str]:
    for source, target in EDGES:
        yield from (f"edge{source}-{target}_is_{operation}" for operation in OPERATIONS)
    yield from (f"num_{operation}" for operation in OPERATIONS)
    for path in range(len(PATHS)):
        yield f"path{path}_is_live"
        yield from (f"path{path}_num_{operation}" for operation in COUNTED)
    yield from ("longest_conv_chain", "shortest_live_path", "num_live_paths")


GRAPH_FEATURE_NAMES = tuple(_names())


def graph_features(arch_str: str) -> NDArray[np.float64]:
    """float64 `[58]`, in the order of `GRAPH_FEATURE_NAMES`; a dead path counts no operations."""
    cell = Cell.parse(arch_str)
    values: list[float] = [float(chosen == operation) for chosen in cell.operations for operation in OPERATIONS]
    values += [float(cell.operations.count(operation)) for operation in OPERATIONS]
    live_lengths, chains = [], [0]
    for path in PATHS:
        along = [cell.operations[edge] for edge in path]
        is_live = "none" not in along
        values += [float(is_live), *(float(is_live and along.count(operation)) for operation in COUNTED)]
        if is_live:
            live_lengths.append(len(path))
            chains.append(sum(operation.startswith("nor_conv") for operation in along))
    values += [float(max(chains)), float(min(live_lengths, default=NUM_NODES)), float(len(live_lengths))]
    return np.array(values)
