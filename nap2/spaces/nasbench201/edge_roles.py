"""How much of each edge has to be executed for a cell's exact output: read off the graph, before anything runs."""

from enum import Enum, auto

from nap2.spaces.nasbench201.cell import CONVOLUTIONS, EDGES, NUM_NODES, Cell


class EdgeRole(Enum):
    """What an edge contributes to the output of its cell."""

    WHOLE = auto()  # executed as it is
    BIAS = auto()  # a convolution of an all-zero node: zeros enter its BatchNorm, whose bias leaves it
    DEAD = auto()  # adds zero, or leads nowhere: not executed


def edge_roles(cell: Cell) -> tuple[EdgeRole, ...]:
    """The role of each edge of `EDGES`."""
    zero, needed = zero_nodes(cell), needed_nodes(cell)
    return tuple(
        _role(operation, zero[source], needed[target])
        for (source, target), operation in zip(EDGES, cell.operations, strict=True)
    )


def zero_nodes(cell: Cell) -> tuple[bool, ...]:
    """For each node, whether its value is zero whatever the input; a convolution of zeros emits its bias."""
    zero = [False] + [True] * (NUM_NODES - 1)
    for (source, target), operation in zip(EDGES, cell.operations, strict=True):
        emits = operation != "none" and (operation in CONVOLUTIONS or not zero[source])
        zero[target] = zero[target] and not emits
    return tuple(zero)


def needed_nodes(cell: Cell) -> tuple[bool, ...]:
    """For each node, whether a path of operations other than `none` leads from it to the output."""
    needed = [False] * (NUM_NODES - 1) + [True]
    for (source, target), operation in reversed(list(zip(EDGES, cell.operations, strict=True))):
        needed[source] = needed[source] or (operation != "none" and needed[target])
    return tuple(needed)


def is_cut_off(cell: Cell) -> bool:
    """Whether no path of operations other than `none` leads from the input to the output: 341 of the 15,625 cells."""
    return not needed_nodes(cell)[0]


def _role(operation: str, source_is_zero: bool, target_is_needed: bool) -> EdgeRole:
    if operation == "none" or not target_is_needed:
        return EdgeRole.DEAD
    if not source_is_zero:
        return EdgeRole.WHOLE
    return EdgeRole.BIAS if operation in CONVOLUTIONS else EdgeRole.DEAD
