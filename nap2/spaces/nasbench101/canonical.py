"""The one way to write a cell: that of the published enumeration, whose vertex order decides the channels.

The benchmark trained, of all isomorphic graphs, the first that its enumeration met: the one of the smallest edge code,
and of these the one of the first operations. Its order of vertices says which of them get the channels that are left
over, so another order is another network.
"""

from collections.abc import Iterator, Sequence

from nap2.errors import ArchStringError
from nap2.spaces.nasbench101.cell import MOST_EDGES, MOST_VERTICES, OPERATIONS, OUTPUT, Cell, Edge

PUBLISHED_NAMES = {"conv3x3-bn-relu": "conv3x3", "conv1x1-bn-relu": "conv1x1", "maxpool3x3": "maxpool3x3"}
"""The benchmark's names of the operations and ours."""


def bit_of(edge: Edge) -> int:
    """The place of an edge in the code of a graph."""
    source, target = edge
    return source + target * (target - 1) // 2


def canonical(cell: Cell) -> Cell:
    """The isomorphic cell that comes first in the published enumeration."""
    return min((_reordered(cell, order) for order in _orders(cell)), key=_code)


def check(arch_str: str) -> None:
    """Refuse what cannot be read, and a cell that is not written as in the benchmark.

    Raises:
        ArchStringError: in one line; it says how the cell is written.
    """
    cell = Cell.parse(arch_str)
    first = canonical(cell)
    if cell != first:
        raise ArchStringError(f"{arch_str!r} is the cell {str(first)!r} in another order; write that.")


def arch_str_of_graph(matrix: Sequence[Sequence[int]], operations: Sequence[str]) -> str:
    """The arch string of a published specification, without the vertices that are on no path from input to output.

    Args:
        matrix: `[V, V]` of 0 and 1, upper triangular: whether row feeds column.
        operations: `V` published names, `input` first and `output` last.

    Raises:
        ArchStringError: not a cell of the space, and why.
    """
    given = f"the graph {[list(map(int, row)) for row in matrix]} of {', '.join(operations)}"
    size = len(operations)
    if size < 2 or (operations[0], operations[-1]) != ("input", OUTPUT):
        raise ArchStringError(f"{given} must begin with input and end with {OUTPUT}.")
    if len(matrix) != size or any(len(row) != size for row in matrix):
        raise ArchStringError(f"{given} needs {size} rows and columns, one for each operation.")
    edges = [(x, y) for y in range(size) for x in range(size) if matrix[x][y]]
    if any(source >= target for source, target in edges):
        raise ArchStringError(f"{given} has an edge that does not lead to a later vertex.")
    kept = sorted(_reached(edges, 0) & _reached([(y, x) for x, y in edges], size - 1))
    if len(kept) < 2:
        raise ArchStringError(f"In {given} no path leads from input to {OUTPUT}.")
    unknown = sorted({operations[v] for v in kept[1:-1]} - PUBLISHED_NAMES.keys())
    if unknown:
        raise ArchStringError(f"{unknown[0]!r} in {given} is none of {', '.join(PUBLISHED_NAMES)}.")
    place = {vertex: number for number, vertex in enumerate(kept)}
    inner = tuple((place[x], place[y]) for x, y in edges if x in place and y in place)
    if len(kept) > MOST_VERTICES or len(inner) > MOST_EDGES:
        raise ArchStringError(
            f"{given} has {len(kept)} vertices and {len(inner)} edges; at most {MOST_VERTICES} and {MOST_EDGES} belong "
            "to the space."
        )
    return str(canonical(Cell(tuple(PUBLISHED_NAMES[operations[v]] for v in kept[1:-1]), inner)))


def _reached(edges: Sequence[Edge], start: int) -> set[int]:
    reached, waiting = {start}, [start]
    while waiting:
        vertex = waiting.pop()
        new = {target for source, target in edges if source == vertex} - reached
        reached |= new
        waiting += new
    return reached


def _orders(cell: Cell) -> Iterator[tuple[int, ...]]:
    """Every order of the vertices in which each comes after those that it reads; input first, output last."""
    reads = [set(cell.sources(vertex)) for vertex in range(cell.output)]

    def extended(order: tuple[int, ...]) -> Iterator[tuple[int, ...]]:
        if len(order) == cell.output:
            yield (*order, cell.output)
        for vertex in range(1, cell.output):
            if vertex not in order and reads[vertex] <= set(order):
                yield from extended((*order, vertex))

    return extended((0,))


def _reordered(cell: Cell, order: Sequence[int]) -> Cell:
    place = {vertex: number for number, vertex in enumerate(order)}
    edges = sorted(((place[x], place[y]) for x, y in cell.edges), key=lambda edge: edge[::-1])
    return Cell(tuple(cell.operations[vertex - 1] for vertex in order[1:-1]), tuple(edges))


def _code(cell: Cell) -> tuple[int, tuple[int, ...], tuple[Edge, ...]]:
    """What the enumeration goes by; the edges decide where one is there twice, as in a functional class."""
    return sum(1 << bit_of(edge) for edge in cell.edges), tuple(map(OPERATIONS.index, cell.operations)), cell.edges
