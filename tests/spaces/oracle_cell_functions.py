"""What a cell computes, on toy numbers: the oracle of the functional classes.

A feature map is a vector of 5, pooling a fixed matrix, a convolution `tanh(W v)` with a random `W` of its own (so a
convolution of zeros is zero). Convolutions have no names: a cell is characterised by the *set* of its outputs over
every way to hand out a stock of matrices to its convolutions. Cells with unused convolutions give the same set.
"""

from itertools import permutations, product

import numpy as np

from nap2.spaces.nasbench201.cell import Cell

WIDTH = 5
STOCK = 3  # matrices per type of convolution: enough for cells of up to three convolutions
ENDS = ((0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3))

_random = np.random.default_rng(0)
X = _random.normal(size=WIDTH)
POOLING = _random.normal(size=(WIDTH, WIDTH))
MATRICES = {name: _random.normal(size=(STOCK, WIDTH, WIDTH)) for name in ("nor_conv_1x1", "nor_conv_3x3")}


def outputs(cell: Cell) -> frozenset[float]:
    """One number per way to hand out the matrices, equal ways counted once."""
    ways = product(*(permutations(range(STOCK), cell.operations.count(name)) for name in MATRICES))
    return frozenset(round(float(_output(cell, *way) @ np.arange(1, WIDTH + 1)), 7) for way in ways)


def _output(cell: Cell, narrow: tuple[int, ...], wide: tuple[int, ...]) -> np.ndarray:
    stock = {"nor_conv_1x1": iter(narrow), "nor_conv_3x3": iter(wide)}
    nodes = [X, *np.zeros((3, WIDTH))]
    for (source, target), operation in zip(ENDS, cell.operations, strict=True):
        if operation == "skip_connect":
            nodes[target] = nodes[target] + nodes[source]
        elif operation == "avg_pool_3x3":
            nodes[target] = nodes[target] + POOLING @ nodes[source]
        elif operation in MATRICES:
            matrix = MATRICES[operation][next(stock[operation])]
            nodes[target] = nodes[target] + np.tanh(matrix @ nodes[source])
    return nodes[3]
