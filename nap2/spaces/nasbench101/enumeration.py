"""All 423,624 cells in the published order: by number of vertices, by the code of the edges, by operations."""

from collections.abc import Iterator
from functools import cache
from itertools import permutations, product

import numpy as np
from numpy.typing import NDArray

from nap2.spaces.nasbench101.canonical import bit_of
from nap2.spaces.nasbench101.cell import MOST_EDGES, MOST_VERTICES, OPERATIONS, OUTPUT, Edge

Codes = NDArray[np.int64]

SIZE = 423_624
"""How many there are (Ying et al. 2019, §2.1); what `arch_strings` finds is compared with it by test."""


@cache
def arch_strings() -> tuple[str, ...]:
    """Every arch string; computed in a few seconds at the first call, 60 MB."""
    return tuple(name for size in range(2, MOST_VERTICES + 1) for name in _of_size(size))


def _of_size(num_vertices: int) -> Iterator[str]:
    labels = np.array(list(product(range(len(OPERATIONS)), repeat=num_vertices - 2)), dtype=np.int64)
    orders = list(permutations(range(1, num_vertices - 1)))
    codes = _graphs(num_vertices, orders)
    symmetries = _symmetries(codes, orders, num_vertices)
    for code, own in zip(codes.tolist(), symmetries, strict=True):
        template = _template(code, num_vertices)
        for chosen in labels[_first_of_equals(labels, own)]:
            yield template.format(*(OPERATIONS[index] for index in chosen))


def _edges(num_vertices: int) -> list[Edge]:
    """All that a graph may have, in the order of their bits."""
    return [(source, target) for target in range(num_vertices) for source in range(target)]


def _graphs(num_vertices: int, orders: list[tuple[int, ...]]) -> Codes:
    """The codes, ascending, of graphs without idle vertices, the smallest of each isomorphism class."""
    edges = _edges(num_vertices)
    codes = np.arange(1 << len(edges), dtype=np.int64)
    codes = codes[sum(codes >> bit & 1 for bit in range(len(edges))) <= MOST_EDGES]
    for vertex in range(num_vertices):
        for end, at_this_end in ((1, vertex > 0), (0, vertex < num_vertices - 1)):
            touching = sum(1 << bit_of(edge) for edge in edges if edge[end] == vertex)
            if at_this_end:
                codes = codes[codes & touching != 0]
    for order in orders:
        other, is_acyclic = _permuted(codes, order, num_vertices)
        codes = codes[~is_acyclic | (other >= codes)]
    return codes


def _permuted(codes: Codes, order: tuple[int, ...], num_vertices: int) -> tuple[Codes, NDArray[np.bool_]]:
    """The codes after inner vertex v has become `order[v - 1]`, and whether all edges still lead to later vertices."""
    place = (0, *order, num_vertices - 1)
    permuted, backwards = np.zeros_like(codes), 0
    for source, target in _edges(num_vertices):
        bit, moved = bit_of((source, target)), (place[source], place[target])
        if moved[0] < moved[1]:
            permuted |= (codes >> bit & 1) << bit_of(moved)
        else:
            backwards |= 1 << bit
    return permuted, codes & backwards == 0


def _symmetries(codes: Codes, orders: list[tuple[int, ...]], num_vertices: int) -> list[list[tuple[int, ...]]]:
    """For each graph the orders that leave its code as it is."""
    found: list[list[tuple[int, ...]]] = [[] for _ in codes]
    for order in orders:
        moved, is_acyclic = _permuted(codes, order, num_vertices)
        for row in np.flatnonzero(is_acyclic & (moved == codes)):
            found[row].append(order)
    return found


def _first_of_equals(labels: Codes, symmetries: list[tuple[int, ...]]) -> NDArray[np.int64]:
    """Rows of `labels` `[n, V-2]` that no symmetry of the graph turns into an earlier row."""
    weights = len(OPERATIONS) ** np.arange(labels.shape[1])[::-1]
    own = labels @ weights
    is_first = np.ones(len(labels), dtype=bool)
    for order in symmetries:
        is_first &= labels @ weights[np.array(order, dtype=np.int64) - 1] >= own
    return np.flatnonzero(is_first)


def _template(code: int, num_vertices: int) -> str:
    parts = []
    for target in range(1, num_vertices):
        sources = "".join(f"~{source}" for source in range(target) if code >> bit_of((source, target)) & 1)
        parts.append(("{}" if target < num_vertices - 1 else OUTPUT) + sources)
    return "|".join(parts)
