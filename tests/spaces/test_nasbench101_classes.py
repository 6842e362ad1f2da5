"""Which NAS-Bench-101 cells are one network: those that differ in which of two equal poolings a vertex reads."""

from collections import Counter
from itertools import permutations, product

import numpy as np
import pytest
import torch

from nap2.spaces import SPACES

SPACE = SPACES["nasbench101"]
functional = SPACE.classes["functional"]
_random = np.random.default_rng(0)
INPUT = _random.normal(size=5)
MATRICES = {name: _random.normal(size=(3, 5, 5)) for name in ("conv3x3", "conv1x1")}
TWINS = [
    (
        "conv3x3~0|maxpool3x3~1|conv3x3~2|conv3x3~2|output~3~4",
        "conv3x3~0|maxpool3x3~1|conv3x3~2|maxpool3x3~1|conv3x3~4|output~3~5",
    ),
    (  # of two that the output joins, and of one that only a vertex reads
        "conv3x3~0|maxpool3x3~1|maxpool3x3~2|output~2~3",
        "conv3x3~0|maxpool3x3~1|maxpool3x3~1|maxpool3x3~3|output~2~4",
    ),
    (  # poolings of equal poolings are equal, too
        "conv3x3~0|maxpool3x3~1|maxpool3x3~2|conv3x3~2~3|output~2~3~4",
        "conv3x3~0|maxpool3x3~1|maxpool3x3~1|maxpool3x3~3|conv3x3~2~4|output~2~4~5",
    ),
    (  # both joined by the output
        "maxpool3x3~0|maxpool3x3~1|conv1x1~2|maxpool3x3~2|maxpool3x3~1|output~2~3~4~5",
        "maxpool3x3~0|maxpool3x3~1|maxpool3x3~1|conv1x1~3|maxpool3x3~2|output~2~3~4~5",
    ),
]
ALONE = [
    ("conv3x3~0|conv3x3~1|conv3x3~1|conv1x1~2|output~3~4", "weights of their own"),
    ("maxpool3x3~0|maxpool3x3~0|conv3x3~1|conv1x1~2|output~3~4", "projections of their own"),
    ("conv3x3~0|conv1x1~0|maxpool3x3~1|maxpool3x3~2|output~3~4", "poolings of different vertices"),
    ("output~0", "nothing to compare"),
]


@pytest.mark.parametrize(("one", "other"), TWINS)
def test_cells_that_differ_in_which_equal_pooling_is_read_are_one_class(one, other) -> None:
    for arch_str in (one, other):
        SPACE.check(arch_str)
    assert functional(other) == functional(one)


@pytest.mark.parametrize(("one", "other"), TWINS[:3])
def test_twins_compute_the_same_logits(one, other) -> None:
    networks = []
    for arch_str in (one, other):
        torch.manual_seed(0)
        networks.append(SPACE.build(arch_str, stem_channels=6, cells_per_stage=1))
    images = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(1))
    first, second = (network.eval()(images) for network in networks)
    torch.testing.assert_close(first, second, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("arch_str", "why"), ALONE)
def test_what_is_computed_twice_with_different_weights_is_not_one_tensor(arch_str, why) -> None:
    assert functional(arch_str) == arch_str, why


def test_a_sum_of_two_equal_poolings_is_no_single_one() -> None:
    twice = functional("conv3x3~0|maxpool3x3~1|maxpool3x3~1|conv3x3~2~3|output~4")
    assert twice == "conv3x3~0|maxpool3x3~1|conv3x3~2~2|output~3"
    assert twice != functional("conv3x3~0|maxpool3x3~1|conv3x3~2|output~3")


@pytest.mark.slow
def test_the_space_has_419052_functional_classes() -> None:
    sizes = Counter(Counter(map(functional, SPACE.arch_strings())).values())
    assert sizes == {1: 415_200, 2: 3_438, 3: 117, 4: 288, 5: 9}


def toy_outputs(arch_str: str) -> frozenset[float]:
    """What a cell computes on toy numbers, over every way to hand out matrices to its convolutions.

    A tensor is a vector of 5, pooling takes the larger of neighbours, a convolution is `tanh(W v)`; the output is blind
    to the order of what it joins, as the next cell's convolution would be with its weights in that order.
    """
    parts = [part.split("~") for part in arch_str.split("|")]
    kinds = [name for name, *_ in parts]
    found = set()
    for chosen in product(*(permutations(range(3), kinds.count(name)) for name in MATRICES)):
        stock = {
            name: [MATRICES[name][place] for place in places] for name, places in zip(MATRICES, chosen, strict=True)
        }
        values = [INPUT]
        for name, *sources in parts:
            read = [values[int(source)] for source in sources]
            if name == "output":
                found.add(round(float(sum(np.sin(3 * value) @ np.arange(1, 6) for value in read)), 7))
            elif name == "maxpool3x3":
                total = sum(read)
                values.append(np.maximum(total, np.roll(total, 1)))
            else:
                values.append(np.tanh(stock[name].pop() @ sum(read)))
    return frozenset(found)


@pytest.mark.slow
def test_two_cells_are_of_one_class_exactly_where_they_compute_the_same() -> None:
    up_to_six_vertices = [name for name in SPACE.arch_strings()[:65_000] if name.count("|") < 5]
    cells = [name for name in up_to_six_vertices if name.count("~0") == 1 and name.count("maxpool") > 1]
    functions, classes = list(map(toy_outputs, cells)), list(map(functional, cells))
    assert len(set(classes)) < len(cells)
    assert len(set(functions)) == len(set(classes)) == len(set(zip(functions, classes, strict=True)))
