"""Numbers read off a cell without building it: the input of the graph regression that every predictor must beat."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from nap2.spaces.nasbench101.cell import MOST_VERTICES, OPERATIONS, Cell

LAST = MOST_VERTICES - 1


def _names() -> Iterator[str]:
    for target in range(1, MOST_VERTICES):
        end = "output" if target == LAST else str(target)
        yield from (f"edge{source}-{end}" for source in range(target))
    for vertex in range(1, LAST):
        yield from (f"vertex{vertex}_is_{operation}" for operation in OPERATIONS)
    yield from (f"num_{operation}" for operation in OPERATIONS)
    yield from (f"longest_{operation}_chain" for operation in OPERATIONS)
    yield from (f"{operation}_share_of_output" for operation in OPERATIONS)
    yield from ("num_vertices", "num_edges", "input_is_added", "num_joined", "num_projections")
    yield from ("num_paths", "shortest_path", "longest_path")


GRAPH_FEATURE_NAMES = tuple(_names())


def graph_features(arch_str: str) -> NDArray[np.float64]:
    """float64 `[53]`, in the order of `GRAPH_FEATURE_NAMES`; the output is vertex 6 whatever the size of the cell."""
    cell = Cell.parse(arch_str)
    place = {vertex: vertex for vertex in range(cell.output)} | {cell.output: LAST}
    present = {(place[source], place[target]) for source, target in cell.edges}
    values = [float((source, target) in present) for target in range(1, MOST_VERTICES) for source in range(target)]
    padded = (*cell.operations, *[""] * (LAST - cell.output))
    values += [float(name == operation) for name in padded for operation in OPERATIONS]
    values += [float(cell.operations.count(operation)) for operation in OPERATIONS]
    paths = _paths(cell)
    values += [float(max(_count(cell, path, operation) for path in paths)) for operation in OPERATIONS]
    joined = [vertex for vertex in cell.sources(cell.output) if vertex > 0]
    ends = [cell.operations[vertex - 1] for vertex in joined]
    values += [ends.count(operation) / max(1, len(joined)) for operation in OPERATIONS]
    counts = (cell.num_vertices, len(cell.edges), int((0, cell.output) in cell.edges), len(joined))
    lengths = [len(path) for path in paths]
    values += [*map(float, counts), float(len(cell.targets(0)))]
    return np.array([*values, float(len(paths)), float(min(lengths)), float(max(lengths))])


def _paths(cell: Cell) -> tuple[tuple[int, ...], ...]:
    """The inner vertices of every way from input to output."""

    def onwards(vertex: int) -> Iterator[tuple[int, ...]]:
        for target in cell.targets(vertex):
            if target == cell.output:
                yield ()
            else:
                yield from ((target, *rest) for rest in onwards(target))

    return tuple(onwards(0))


def _count(cell: Cell, path: tuple[int, ...], operation: str) -> int:
    return sum(cell.operations[vertex - 1] == operation for vertex in path)
