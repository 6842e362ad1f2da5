"""A NAS-Bench-201 cell and its arch string, `|op~0|+|op~0|op~1|+|op~0|op~1|op~2|`."""

from dataclasses import dataclass
from difflib import get_close_matches

from nap2.errors import ArchStringError, counted

OPERATIONS = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")
"""In the order of the published enumeration."""

CONVOLUTIONS = ("nor_conv_1x1", "nor_conv_3x3")

EDGES = ((0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3))
"""(source node, target node), in the order of the arch string; node 0 is the input, node 3 the output."""

NUM_NODES = 4
SHAPE = "|op~0|+|op~0|op~1|+|op~0|op~1|op~2|"


@dataclass(frozen=True)
class Cell:
    """One operation per edge of `EDGES`."""

    operations: tuple[str, ...]

    def __post_init__(self) -> None:
        if len(self.operations) != len(EDGES) or not set(self.operations) <= set(OPERATIONS):
            raise ArchStringError(
                f"A NAS-Bench-201 cell has {len(EDGES)} operations out of {', '.join(OPERATIONS)}, "
                f"not {self.operations!r}."
            )

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
            ArchStringError: in one line, naming the first part that cannot be read and where it stands.
        """
        if not isinstance(arch_str, str):
            raise ArchStringError(f"An arch string is text like {SHAPE}, not {arch_str!r}.")
        nodes = arch_str.split("+")
        if len(nodes) != NUM_NODES - 1:
            raise ArchStringError(
                f"{arch_str!r} has {counted(len(nodes), 'node')} separated by '+', a NAS-Bench-201 cell has "
                f"{NUM_NODES - 1}; write {SHAPE}."
            )
        operations: list[str] = []
        start = 1  # characters are counted from 1
        for target, node in enumerate(nodes, 1):
            operations += _node_operations(arch_str, target, node, start)
            start += len(node) + 1
        return cls(tuple(operations))


def check(arch_str: str) -> None:
    """Refuse what `Cell.parse` cannot read."""
    Cell.parse(arch_str)


def _node_operations(arch_str: str, target: int, node: str, start: int) -> list[str]:
    where = f"node {target} ({node!r}, from character {start} of {arch_str!r})"
    if len(node) < 2 or node[0] != "|" or node[-1] != "|":
        raise ArchStringError(f"{where} must begin and end with '|'; write {SHAPE}.")
    parts = node[1:-1].split("|")
    if len(parts) != target:
        raise ArchStringError(
            f"{where} has {counted(len(parts), 'edge')}; node {target} has {target}, one from each node before it; "
            f"write {SHAPE}."
        )
    operations = []
    start += 1
    for source, part in enumerate(parts):
        operations.append(_operation(part, source, f"at character {start} of {arch_str!r} (node {target})"))
        start += len(part) + 1
    return operations


def _operation(part: str, source: int, where: str) -> str:
    name, separator, number = part.partition("~")
    if not separator or number != str(source):
        raise ArchStringError(f"{part!r} {where} must end with ~{source}: edges stand in the order of their source.")
    if name not in OPERATIONS:
        near = get_close_matches(name, OPERATIONS, n=1, cutoff=0.5)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise ArchStringError(f"{name!r} {where} is no operation.{hint} Known: {', '.join(OPERATIONS)}.")
    return name
