"""Which cells are one network.

`isomorphic`: none but itself, as the table holds one cell of every isomorphism class. `functional` follows what a cell
computes. Convolutions have weights of their own, but two poolings of the same vertices are one tensor, so that it does
not matter which of them a later vertex reads: 419,052 classes. Cells of a class may differ in who gets the channel that
is left over where three vertices share those of the output.
"""

from nap2.spaces.nasbench101.canonical import canonical
from nap2.spaces.nasbench101.cell import Cell

POOLING = "maxpool3x3"


def isomorphic_class(arch_str: str) -> str:
    """The arch string of the isomorphic cell that the benchmark holds."""
    return str(canonical(Cell.parse(arch_str)))


def functional_class(arch_str: str) -> str:
    """The cell with equal poolings made one; a vertex that read two of them reads the one twice.

    It reads like `conv3x3~0|maxpool3x3~1|conv3x3~2~2|output~3`. The arch string must be one that `check` accepts: it is
    its own class where no two poolings are equal.
    """
    poolings = [part for part in arch_str.split("|") if part.startswith(POOLING) and "~0" not in part]
    if len(set(poolings)) == len(poolings):
        return arch_str
    return str(canonical(_merged(Cell.parse(arch_str))))


def _merged(cell: Cell) -> Cell:
    """One pooling instead of each group of equal ones; those that read the input project it each in its own way."""
    first: dict[int, int] = {0: 0}  # by vertex, the first that holds the same tensor
    known: dict[tuple[int, ...], int] = {}
    for vertex, operation in enumerate(cell.operations, 1):
        read = tuple(sorted(first[source] for source in cell.sources(vertex)))
        first[vertex] = known.setdefault(read, vertex) if operation == POOLING and read[0] > 0 else vertex
    kept = sorted(set(first.values()))
    place = {vertex: number for number, vertex in enumerate((*kept, cell.output))}
    edges = ((place[first[source]], place[target]) for source, target in cell.edges if target in place)
    operations = tuple(cell.operations[vertex - 1] for vertex in kept[1:])
    return Cell(operations, tuple(sorted(edges, key=lambda edge: edge[::-1])))
