"""Which cells are one network.

`isomorphic` is the published string rule (6,466 classes). `functional` follows what a cell computes: after dropping
`none`, dead edges and convolutions of an all-zero node, contracting skips, distributing the (linear) average pooling
over sums and relabelling convolutions, two cells are the same function of their input and weights (5,044 classes).
"""

from collections import Counter
from collections.abc import Iterator
from functools import cache
from itertools import groupby, permutations, product

from nap2.spaces.nasbench201.cell import CONVOLUTIONS, EDGES, NUM_NODES, Cell

ZERO = "#"
INPUT = -1

Term = tuple[int, int]
"""(poolings on the way, atom): the atom is `INPUT` or the edge of a convolution."""

Sum = Counter[Term]
"""The value of a node: how often each term is added."""


@cache
def isomorphic_class(arch_str: str) -> str:
    """The cell as nested sums from the input on: skips vanish, zero stays zero, summands are sorted."""
    parts: list[list[str]] = [["0"], *([] for _ in range(NUM_NODES - 1))]
    for (source, target), operation in _edges(arch_str):
        parts[target].append(_applied(operation, "+".join(sorted(parts[source]))))
    return "+".join(sorted(parts[-1]))


def _edges(arch_str: str) -> Iterator[tuple[tuple[int, int], str]]:
    return zip(EDGES, Cell.parse(arch_str).operations, strict=True)


def _applied(operation: str, value: str) -> str:
    if operation == "none" or value == ZERO:
        return ZERO
    return value if operation == "skip_connect" else f"({value})@{operation}"


@cache
def functional_class(arch_str: str) -> str:
    """The function of the cell, up to the names of its convolutions.

    It reads like `2*p(x)+c0; c0=nor_conv_3x3(x)`: twice the pooled input, plus a convolution of the input.
    """
    sums: list[Sum] = [Counter({(0, INPUT): 1}), *(Counter() for _ in range(NUM_NODES - 1))]
    reads: dict[int, tuple[str, Sum]] = {}  # each convolution and what it is applied to, by edge
    for edge, ((source, target), operation) in enumerate(_edges(arch_str)):
        value = sums[source]
        if operation == "skip_connect":
            sums[target].update(value)
        elif operation == "avg_pool_3x3":
            sums[target].update({(poolings + 1, atom): n for (poolings, atom), n in value.items()})
        elif operation in CONVOLUTIONS and value:
            reads[edge] = operation, value.copy()
            sums[target][0, edge] += 1
    return min(_spelling(sums[-1], reads, order) for order in _orders(sums[-1], reads))


def _orders(output: Sum, reads: dict[int, tuple[str, Sum]]) -> Iterator[list[int]]:
    """Every order of the convolutions that the output needs, but for those that their unfolded texts already decide."""
    text: dict[int, str] = {INPUT: "x"}
    for edge, (operation, value) in reads.items():  # a convolution reads only earlier ones
        text[edge] = f"{operation}({_written(value, text)})"
    alike = groupby(sorted(_needed(output, reads), key=text.__getitem__), key=text.__getitem__)
    for choice in product(*(list(permutations(group)) for _, group in alike)):
        yield [edge for group in choice for edge in group]


def _needed(output: Sum, reads: dict[int, tuple[str, Sum]]) -> set[int]:
    needed: set[int] = set()
    waiting = [atom for _, atom in output]
    while waiting:
        atom = waiting.pop()
        if atom != INPUT and atom not in needed:
            needed.add(atom)
            waiting += [inner for _, inner in reads[atom][1]]
    return needed


def _spelling(output: Sum, reads: dict[int, tuple[str, Sum]], order: list[int]) -> str:
    name = {INPUT: "x"} | {edge: f"c{number}" for number, edge in enumerate(order)}
    lines = [f"{name[edge]}={reads[edge][0]}({_written(reads[edge][1], name)})" for edge in order]
    return "; ".join([_written(output, name), *lines])


def _written(value: Sum, name: dict[int, str]) -> str:
    terms = (f"{f'{n}*' * (n > 1)}{'p(' * pools}{name[atom]}{')' * pools}" for (pools, atom), n in value.items())
    return "+".join(sorted(terms)) or "0"
