"""NAS-Bench-101 cells: how they are written, which of the equal ways is the benchmark's, and how many there are."""

import os
from itertools import permutations, product
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nap2.errors import ArchStringError
from nap2.spaces import SPACES
from nap2.spaces.nasbench101.canonical import arch_str_of_graph, canonical, check
from nap2.spaces.nasbench101.cell import OPERATIONS, Cell
from nap2.spaces.nasbench101.enumeration import arch_strings

SPACE = SPACES["nasbench101"]
NAMES = {"conv3x3": "conv3x3-bn-relu", "conv1x1": "conv1x1-bn-relu", "maxpool3x3": "maxpool3x3"}
EVERY_CELL = st.integers(0, SPACE.size - 1).map(lambda index: arch_strings()[index])


def graph(arch_str: str) -> tuple[list[list[int]], list[str]]:
    cell = Cell.parse(arch_str)
    matrix = [[int((x, y) in cell.edges) for y in range(cell.num_vertices)] for x in range(cell.num_vertices)]
    return matrix, ["input", *(NAMES[name] for name in cell.operations), "output"]


def is_cell(matrix: np.ndarray) -> bool:
    """No vertex but the input reads nothing, none but the output is read by nothing, at most nine edges."""
    return bool(matrix[:, 1:].any(0).all() and matrix[:-1].any(1).all() and matrix.sum() <= 9)


def brute_force(size: int) -> int:
    """The number of graphs of a size that no renaming of inner vertices makes equal, by trying all of them."""
    seen, count = set(), 0
    places = [(x, y) for x in range(size) for y in range(x + 1, size)]
    for bits in product((0, 1), repeat=len(places)):
        matrix = np.zeros((size, size), dtype=int)
        for place, bit in zip(places, bits, strict=True):
            matrix[place] = bit
        if not is_cell(matrix):
            continue
        for labels in product(range(3), repeat=size - 2):
            if (matrix.tobytes(), labels) in seen:
                continue
            count += 1
            for order in permutations(range(1, size - 1)):
                rows = [0, *order, size - 1]
                other = np.ascontiguousarray(matrix[rows][:, rows])
                seen.add((other.tobytes(), tuple(labels[v - 1] for v in order)))
    return count


def test_the_space_has_the_published_number_of_cells_each_once() -> None:
    names = arch_strings()
    assert len(names) == len(set(names)) == SPACE.size == 423_624


@pytest.mark.parametrize("size", [2, 3, 4, 5])
def test_of_each_size_there_are_as_many_as_trying_all_graphs_finds(size) -> None:
    assert sum(name.count("|") == size - 2 for name in arch_strings()[:3000]) == brute_force(size)


@settings(max_examples=60, deadline=None)
@given(EVERY_CELL)
def test_every_listed_cell_reads_back_as_itself_and_is_accepted(arch_str) -> None:
    assert str(Cell.parse(arch_str)) == arch_str
    check(arch_str)
    assert arch_str_of_graph(*graph(arch_str)) == arch_str
    assert SPACE.classes["isomorphic"](arch_str) == arch_str


@settings(max_examples=60, deadline=None)
@given(EVERY_CELL, st.randoms(use_true_random=False))
def test_every_order_of_the_vertices_leads_to_the_listed_cell(arch_str, random) -> None:
    matrix, operations = graph(arch_str)
    size = len(operations)
    orders = [
        (0, *order, size - 1)
        for order in permutations(range(1, size - 1))
        if not any(matrix[y][x] for place, x in enumerate((0, *order)) for y in (*order, size - 1)[place:])
    ]
    order = random.choice(orders)
    moved = [[matrix[x][y] for y in order] for x in order]
    assert arch_str_of_graph(moved, [operations[v] for v in order]) == arch_str


def test_the_listed_order_is_by_size_then_edges_then_operations() -> None:
    codes = []
    for name in arch_strings()[:2500]:
        matrix, operations = graph(name)
        bits = "".join(str(matrix[x][y]) for y in reversed(range(len(matrix))) for x in reversed(range(y)))
        codes.append((len(matrix), bits, [list(NAMES.values()).index(name) for name in operations[1:-1]]))
    assert codes == sorted(codes)


def test_a_published_graph_loses_what_no_path_crosses() -> None:
    inception = [  # the example of the benchmark's own documentation
        [0, 1, 1, 1, 0, 1, 0],
        [0, 0, 0, 0, 0, 0, 1],
        [0, 0, 0, 0, 0, 0, 1],
        [0, 0, 0, 0, 1, 0, 0],
        [0, 0, 0, 0, 0, 0, 1],
        [0, 0, 0, 0, 0, 0, 1],
        [0, 0, 0, 0, 0, 0, 0],
    ]
    operations = [NAMES[name] for name in ("conv1x1", "conv3x3", "conv3x3", "conv3x3", "maxpool3x3")]
    whole = arch_str_of_graph(inception, ["input", *operations, "output"])
    assert whole == str(canonical(Cell.parse("conv1x1~0|conv3x3~0|conv3x3~0|conv3x3~3|maxpool3x3~0|output~1~2~4~5")))
    inception[5][6] = 0  # the pooling leads nowhere now
    pruned = arch_str_of_graph(inception, ["input", *operations, "output"])
    assert pruned == str(canonical(Cell.parse("conv1x1~0|conv3x3~0|conv3x3~0|conv3x3~3|output~1~2~4")))


@pytest.mark.parametrize(
    ("arch_str", "message"),
    [
        (7, r"An arch string is text like op~source.*, not 7"),
        ("", r"'' is no operation of vertex 1 .*the last vertex is called output"),
        ("conv3x3~0", r"'conv3x3' is no operation of vertex 1 .*the last vertex is called output"),
        ("conv3x4~0|output~1", r"'conv3x4' .*vertex 1 .*Did you mean 'conv3x3'\?"),
        ("conv3x3|output~1", r"vertex 1 \('conv3x3', from character 1 .*reads no vertex"),
        ("conv3x3~0|output~2", r"vertex 2 .*reads '2'; it can read the vertices 0, 1"),
        ("conv3x3~0|output~1~0", r"in ascending order"),
        ("conv3x3~0|output~1~1", r"once, in ascending order"),
        ("conv3x3~0|conv1x1~0|output~2", r"nothing reads vertex 1; leave it out"),
        ("conv3x3~0|" * 6 + "output~1", r"has 7 parts .*at most 6 beside its input"),
        ("conv3x3~0|conv3x3~0~1|conv3x3~0~1~2|conv3x3~0~1~2|output~3~4", r"has 11 edges; .*at most 9"),
        ("conv1x1~0|conv3x3~0|output~1~2", r"is the cell 'conv3x3~0\|conv1x1~0\|output~1~2' in another order"),
    ],
)
def test_what_cannot_be_read_is_refused_in_one_line(arch_str, message) -> None:
    with pytest.raises(ArchStringError, match=message) as caught:
        check(arch_str)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("matrix", "operations", "message"),
    [
        ([[0, 1], [0, 0]], ["output", "input"], "must begin with input and end with output"),
        ([[0, 1]], ["input", "output"], "needs 2 rows and columns"),
        ([[0, 1], [1, 0]], ["input", "output"], "an edge that does not lead to a later vertex"),
        ([[0, 0], [0, 0]], ["input", "output"], "no path leads from input to output"),
        ([[0, 1, 0], [0, 0, 1], [0, 0, 0]], ["input", "conv5x5", "output"], "'conv5x5' .* is none of conv3x3-bn-relu"),
        (
            np.triu(np.ones((7, 7), int), 1).tolist(),
            ["input", *["maxpool3x3"] * 5, "output"],
            "7 vertices and 21 edges",
        ),
    ],
)
def test_a_graph_outside_the_space_is_refused_in_one_line(matrix, operations, message) -> None:
    with pytest.raises(ArchStringError, match=message) as caught:
        arch_str_of_graph(matrix, operations)
    assert "\n" not in str(caught.value)


@pytest.mark.data
@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_the_listed_cells_and_their_sizes_are_those_of_the_published_table() -> None:
    folder = os.environ.get("NAP2_BENCHMARKS")
    if not folder:
        pytest.skip("NAP2_BENCHMARKS does not name the folder of published tables")
    table = dict(np.load(Path(folder) / "nb101_test_accuracy.npz"))
    matrices = np.unpackbits(table["adj"], axis=1)[:, :49].reshape(-1, 7, 7).tolist()
    published = [*(NAMES[name] for name in OPERATIONS), "input", "output"]
    found = []
    for matrix, places, params in zip(matrices, table["ops"].tolist(), table["params"].tolist(), strict=True):
        operations = [published[place] for place in places if place >= 0]
        size = len(operations)
        found.append(arch_str_of_graph([row[:size] for row in matrix[:size]], operations))
        assert str(Cell.parse(found[-1])) == found[-1]
        assert SPACE.num_parameters(found[-1]) == params
    assert sorted(found) == sorted(arch_strings())
