"""A NAS-Bench-201 cell and its arch string, `|op~0|+|op~0|op~1|+|op~0|op~1|op~2|`."""

from dataclasses import dataclass
from difflib import get_close_matches

from nap2.errors import ArchStringError

OPERATIONS = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")
"""In the order of the published enumeration."""

EDGES = ((0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3))
"""(source node, target node), in the order of the arch string; node 0 is the input, node 3 the output."""

NUM_NODES = 4


@dataclass(frozen=True)
class Cell:
    """One operation per edge of `EDGES`."""

    operations: tuple[str, ...]

    def __str__(self) -> str:
        nodes = []
        for target in range(1, NUM_NODES):
            parts = [f"{op}~{s}" for op, (s, t) in zip(self.operations, EDGES, strict=True) if t == target]
            nodes.append(f"|{'|'.join(parts)}|")
        return "+".join(nodes)

    @classmethod
    def parse(cls, arch_str: str) -> "Cell":
        """Read an arch string.

        Raises:
            ArchStringError: in one line, naming the first part that cannot be read.
        """
        nodes = arch_str.split("+")
        if len(nodes) != NUM_NODES - 1:
            raise ArchStringError(
                f"{arch_str!r} has {len(nodes)} nodes separated by '+', a NAS-Bench-201 cell has {NUM_NODES - 1}; "
                "write |op~0|+|op~0|op~1|+|op~0|op~1|op~2|."
            )
        operations: list[str] = []
        for target, node in enumerate(nodes, 1):
            operations += _node_operations(arch_str, target, node)
        return cls(tuple(operations))


def _node_operations(arch_str: str, target: int, node: str) -> list[str]:
    where = f"node {target} ({node!r}) of {arch_str!r}"
    if len(node) < 2 or node[0] != "|" or node[-1] != "|":
        raise ArchStringError(f"{where} must begin and end with '|', like |op~0|.")
    parts = node[1:-1].split("|")
    if len(parts) != target:
        raise ArchStringError(f"{where} has {len(parts)} edges; node {target} has one from each of {target} nodes.")
    return [_operation(where, part, source) for source, part in enumerate(parts)]


def _operation(where: str, part: str, source: int) -> str:
    name, separator, number = part.partition("~")
    if not separator or number != str(source):
        raise ArchStringError(f"{part!r} in {where} must end with ~{source}: edges stand in the order of their source.")
    if name not in OPERATIONS:
        near = get_close_matches(name, OPERATIONS, n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise ArchStringError(f"{name!r} in {where} is no operation.{hint} Known: {', '.join(OPERATIONS)}.")
    return name


def check(arch_str: str) -> None:
    """Refuse what `Cell.parse` cannot read."""
    Cell.parse(arch_str)


def reaches_output(cell: Cell) -> tuple[bool, ...]:
    """For each node, whether a path of operations other than `none` leads from it to the output."""
    live = [False] * NUM_NODES
    live[-1] = True
    for (source, target), operation in sorted(zip(EDGES, cell.operations, strict=True), reverse=True):
        live[source] = live[source] or (operation != "none" and live[target])
    return tuple(live)
