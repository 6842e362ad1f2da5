"""Which cells are one network.

`isomorphic` is the published string rule (6,466 classes). `functional` is stricter about what counts as different:
after dropping `none`, dead edges and convolutions of an all-zero node, contracting skips, distributing the (linear)
average pooling over sums and relabelling convolutions, two cells compute the same function (5,044 classes).
"""

from collections import Counter
from functools import cache
from itertools import permutations

from nap2.spaces.nasbench201.cell import EDGES, Cell

ZERO = "#"
CONVOLUTIONS = ("nor_conv_1x1", "nor_conv_3x3")
INPUT = -1

Term = tuple[int, int]
"""(poolings on the way, atom): the atom is `INPUT` or the edge of a convolution."""


@cache
def isomorphic_class(arch_str: str) -> str:
    """The cell as nested sums from the input on: skips vanish, zero stays zero, summands are sorted."""
    parts: list[list[str]] = [["0"], [], [], []]
    for (source, target), operation in _edges(Cell.parse(arch_str)):
        parts[target].append(_applied(operation, "+".join(sorted(parts[source]))))
    return "+".join(sorted(parts[-1]))


def _edges(cell: Cell) -> list[tuple[tuple[int, int], str]]:
    return list(zip(EDGES, cell.operations, strict=True))


def _applied(operation: str, value: str) -> str:
    if operation == "none" or value == ZERO:
        return ZERO
    return value if operation == "skip_connect" else f"({value})@{operation}"


@cache
def functional_class(arch_str: str) -> str:
    """The function of the cell, up to the names of its convolutions."""
    cell = Cell.parse(arch_str)
    sums: list[Counter[Term]] = [Counter({(0, INPUT): 1}), Counter(), Counter(), Counter()]
    reads: dict[int, Counter[Term]] = {}  # what each convolution is applied to, by edge
    for edge, ((source, target), operation) in enumerate(_edges(cell)):
        value = sums[source]
        if operation == "skip_connect":
            sums[target].update(value)
        elif operation == "avg_pool_3x3":
            sums[target].update({(poolings + 1, atom): n for (poolings, atom), n in value.items()})
        elif operation in CONVOLUTIONS and value:
            reads[edge] = Counter(value)
            sums[target][(0, edge)] += 1
    return _smallest_spelling(cell, sums[-1], reads)


def _smallest_spelling(cell: Cell, output: Counter[Term], reads: dict[int, Counter[Term]]) -> str:
    """The first, in lexical order, of the spellings under every naming of the convolutions that the output needs."""
    needed = _needed(output, reads)
    spellings = (
        _spelling(cell, output, reads, dict(zip(order, range(len(order)), strict=True)))
        for order in permutations(needed)
    )
    return min(spellings)


def _needed(output: Counter[Term], reads: dict[int, Counter[Term]]) -> list[int]:
    needed: set[int] = set()
    waiting = [atom for _, atom in output]
    while waiting:
        atom = waiting.pop()
        if atom != INPUT and atom not in needed:
            needed.add(atom)
            waiting += [inner for _, inner in reads[atom]]
    return sorted(needed)


def _spelling(cell: Cell, output: Counter[Term], reads: dict[int, Counter[Term]], name: dict[int, int]) -> str:
    def written(value: Counter[Term]) -> str:
        return "+".join(
            sorted(f"{n}*p{poolings}{'x' if a == INPUT else name[a]}" for (poolings, a), n in value.items())
        )

    lines = [
        f"{name[edge]}={cell.operations[edge]}({written(reads[edge])})" for edge in sorted(name, key=name.__getitem__)
    ]
    return ";".join([written(output), *lines])
