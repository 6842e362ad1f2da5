"""Which cells are one network: each is its own class, under both flavours.

The table holds one cell of every isomorphism class, and no operation of the space vanishes or commutes with another:
without skips and zeros, cells of different graphs compute different functions.
"""

from nap2.spaces.nasbench101.canonical import canonical
from nap2.spaces.nasbench101.cell import Cell


def class_of(arch_str: str) -> str:
    """The arch string of the isomorphic cell that the benchmark holds."""
    return str(canonical(Cell.parse(arch_str)))
