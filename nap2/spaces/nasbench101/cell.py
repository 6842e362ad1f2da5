"""A NAS-Bench-101 cell and its arch string, `conv3x3~0|maxpool3x3~0~1|output~1~2`.

Vertex 0 is the input; each part of the string is one more vertex, its operation and the vertices that it reads.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches

from nap2.errors import ArchStringError

OPERATIONS = ("conv3x3", "conv1x1", "maxpool3x3")
"""In the order of the published enumeration."""

OUTPUT = "output"
MOST_VERTICES, MOST_EDGES = 7, 9
SHAPE = "op~source~source|…|output~source"

Edge = tuple[int, int]
"""(source vertex, target vertex)."""


@dataclass(frozen=True)
class Cell:
    """A directed acyclic graph; every vertex lies on a path from the input to the output.

    Attributes:
        operations: of the vertices between input and output, in order; one of `OPERATIONS` each.
        edges: sorted by target, then by source; a source is smaller than its target.
    """

    operations: tuple[str, ...]
    edges: tuple[Edge, ...]

    @property
    def num_vertices(self) -> int:
        """Input and output included."""
        return len(self.operations) + 2

    @property
    def output(self) -> int:
        """The last vertex."""
        return len(self.operations) + 1

    def sources(self, target: int) -> list[int]:
        """The vertices that a vertex reads, in order."""
        return [source for source, end in self.edges if end == target]

    def targets(self, source: int) -> list[int]:
        """The vertices that read a vertex, in order."""
        return [target for start, target in self.edges if start == source]

    def __str__(self) -> str:
        names = (*self.operations, OUTPUT)
        return "|".join("~".join((name, *map(str, self.sources(v)))) for v, name in enumerate(names, 1))

    @classmethod
    def parse(cls, arch_str: str) -> "Cell":
        """Read an arch string; which of the equal ways to write a cell it is does not matter here.

        Raises:
            ArchStringError: in one line, naming the first part that cannot be read and where it stands.
        """
        if not isinstance(arch_str, str):
            raise ArchStringError(f"An arch string is text like {SHAPE}, not {arch_str!r}.")
        parts = arch_str.split("|")
        if len(parts) >= MOST_VERTICES:
            raise ArchStringError(
                f"{arch_str!r} has {len(parts)} parts separated by '|'; a NAS-Bench-101 cell has at most "
                f"{MOST_VERTICES - 1} beside its input; write {SHAPE}."
            )
        operations, edges, start = [], [], 1  # characters are counted from 1
        for vertex, part in enumerate(parts, 1):
            where = f"vertex {vertex} ({part!r}, from character {start} of {arch_str!r})"
            name, *sources = part.split("~")
            operations.append(_operation(name, vertex == len(parts), where))
            edges += [(source, vertex) for source in _sources(sources, vertex, where)]
            start += len(part) + 1
        cell = cls(tuple(operations[:-1]), tuple(edges))
        _check_graph(cell, arch_str)
        return cell


def _operation(name: str, is_last: bool, where: str) -> str:
    known = (OUTPUT,) if is_last else OPERATIONS
    if name not in known:
        near = get_close_matches(name, known, n=1, cutoff=0.5)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        what = f"the last vertex is called {OUTPUT}" if is_last else f"known are {', '.join(OPERATIONS)}"
        raise ArchStringError(f"{name!r} is no operation of {where}: {what}.{hint}")
    return name


def _sources(numbers: Sequence[str], vertex: int, where: str) -> list[int]:
    if not numbers:
        raise ArchStringError(f"{where} reads no vertex; write the numbers of those it reads, as in {SHAPE}.")
    earlier = [str(number) for number in range(vertex)]
    for number in numbers:
        if number not in earlier:
            raise ArchStringError(f"{where} reads {number!r}; it can read the vertices {', '.join(earlier)}.")
    found = [int(number) for number in numbers]
    if found != sorted(set(found)):
        raise ArchStringError(f"{where} must name each vertex that it reads once, in ascending order.")
    return found


def _check_graph(cell: Cell, arch_str: str) -> None:
    if len(cell.edges) > MOST_EDGES:
        raise ArchStringError(
            f"{arch_str!r} has {len(cell.edges)} edges; a NAS-Bench-101 cell has at most {MOST_EDGES}."
        )
    unread = sorted(set(range(cell.output)) - {source for source, _ in cell.edges})
    if unread:
        raise ArchStringError(f"In {arch_str!r} nothing reads vertex {unread[0]}; leave it out.")
