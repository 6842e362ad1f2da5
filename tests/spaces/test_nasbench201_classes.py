"""Which cells are one network: the published string rule, and what cells compute."""

import random
from itertools import combinations

import pytest
import torch
from oracle_cell_functions import outputs

from nap2.spaces import SPACES
from nap2.spaces.nasbench201.cell import Cell

SPACE = SPACES["nasbench201"]
isomorphic, functional = SPACE.classes["isomorphic"], SPACE.classes["functional"]
NAMES = {"0": "none", "s": "skip_connect", "1": "nor_conv_1x1", "3": "nor_conv_3x3", "p": "avg_pool_3x3"}


def arch(letters: str) -> str:
    """Operations of the edges 0→1, 0→2, 1→2, 0→3, 1→3, 2→3, one letter each."""
    return str(Cell(tuple(NAMES[letter] for letter in letters)))


def test_there_are_as_many_classes_as_published():
    assert len(set(map(isomorphic, SPACE.arch_strings()))) == 6466
    assert len(set(map(functional, SPACE.arch_strings()))) == 5044


def test_functional_classes_are_those_of_the_functions_cells_compute():
    cells = [Cell.parse(name) for name in random.Random(0).sample(SPACE.arch_strings(), 2500)]
    cells = [cell for cell in cells if sum("conv" in operation for operation in cell.operations) <= 3]
    assert len(cells) > 1900
    keys, functions = [functional(str(cell)) for cell in cells], [outputs(cell) for cell in cells]
    assert len(set(keys)) == len(set(functions)) == len(set(zip(keys, functions, strict=True)))


@pytest.mark.slow
def test_functional_classes_are_those_of_the_functions_of_every_cell_of_up_to_three_convolutions():
    cells = [Cell.parse(name) for name in SPACE.arch_strings() if name.count("nor_conv") <= 3]
    assert len(cells) == 12825
    pairs = {(functional(str(cell)), outputs(cell)) for cell in cells}
    assert len({key for key, _ in pairs}) == len({function for _, function in pairs}) == len(pairs)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        pytest.param("s03000", "003000", id="a dead edge"),
        pytest.param("003s10", "000s00", id="convolutions of an all-zero node"),
        pytest.param("s0300s", "30s00s", id="a skip before or after a convolution"),
        pytest.param("p000s0", "s000p0", id="a skip before or after pooling"),
        pytest.param("310033", "130033", id="the names of two nodes"),
        pytest.param("0s0p0p", "s00pp0", id="the same poolings by another node"),
        pytest.param("31s00p", "3100pp", id="pooling a sum, or summing what is pooled"),
    ],
)
def test_cells_of_one_function_share_a_key(one, other):
    assert functional(arch(one)) == functional(arch(other))


def test_the_string_rule_cannot_tell_a_shared_convolution_from_two():
    """Why `functional` is no mere coarsening: one convolution read twice is not two, yet the strings agree."""
    shared, twice = arch("30s0ss"), arch("3300ss")
    assert isomorphic(shared) == isomorphic(twice)
    assert functional(shared) != functional(twice)


def test_keys_read_like_formulas():
    assert functional(arch("300pps")) == "p(c0)+p(x); c0=nor_conv_3x3(x)"
    assert functional(arch("s00ss0")) == "2*x"
    assert functional(arch("000000")) == functional(arch("003001")) == "0"


def test_equal_keys_mean_equal_networks():
    """Built networks of one class with one convolution draw equal weights from equal seeds: their logits agree."""
    by_class = {}
    for name in random.Random(0).sample(SPACE.arch_strings(), 1500):
        if name.count("conv_") == 1 and "conv" in functional(name):
            by_class.setdefault(functional(name), []).append(name)
    pairs = [names[:2] for names in by_class.values() if len(names) > 1][:6]
    assert len(pairs) == 6
    logits = {name: network_output(name) for pair in pairs for name in pair}
    for one, other in pairs:
        torch.testing.assert_close(logits[one], logits[other], rtol=1e-9, atol=1e-9)
    for (one, _), (other, _) in combinations(pairs, 2):
        assert (logits[one] - logits[other]).abs().max() > 1e-3


def network_output(name: str) -> torch.Tensor:
    images = torch.randn(4, 3, 8, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    torch.manual_seed(0)
    with torch.no_grad():
        return SPACE.build(name, stem_channels=4, cells_per_stage=1).double()(images)
