"""Arch strings, their order, and which cells are one network."""

import csv
import gzip
import hashlib
import os
import random
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from nap2.errors import ArchStringError
from nap2.spaces import SPACES
from nap2.spaces.nasbench201.cell import OPERATIONS, Cell
from nap2.spaces.nasbench201.graph_features import GRAPH_FEATURE_NAMES, graph_features

SPACE = SPACES["nasbench201"]
CELLS = st.tuples(*[st.sampled_from(OPERATIONS)] * 6).map(Cell)
FIRST = "|avg_pool_3x3~0|+|nor_conv_1x1~0|skip_connect~1|+|nor_conv_1x1~0|skip_connect~1|skip_connect~2|"


@given(CELLS)
def test_parsing_is_the_inverse_of_writing(cell: Cell) -> None:
    assert Cell.parse(str(cell)) == cell


def test_the_official_order_is_reproduced() -> None:
    names = SPACE.arch_strings()
    assert len(names) == len(set(names)) == SPACE.size == 15625
    assert names[0] == FIRST
    digest = hashlib.sha256("\n".join(names).encode()).hexdigest()
    assert digest == "83abc799e45cf34e9d2163654668ab998b9a54d01c39e72ca1f71f2cdf356d84"
    assert all(SPACE.index_of(names[i]) == i for i in (0, 1, 9999, 15624))


@pytest.mark.parametrize(
    ("arch_str", "message"),
    [
        ("", r"has 1 nodes separated by '\+'"),
        (FIRST + "+|none~0|", r"has 4 nodes"),
        (
            FIRST.replace("|avg_pool_3x3~0|+", "avg_pool_3x3~0+"),
            r"node 1 \('avg_pool_3x3~0'\).*begin and end with '\|'",
        ),
        (FIRST.replace("|avg_pool_3x3~0|", "|avg_pool_3x3~0|none~1|"), r"node 1 .* has 2 edges"),
        (FIRST.replace("skip_connect~2", "skip_connect~1"), r"'skip_connect~1' in node 3 .* must end with ~2"),
        (FIRST.replace("avg_pool_3x3", "avg_pool_3x"), r"'avg_pool_3x' in node 1 .* Did you mean 'avg_pool_3x3'\?"),
        (FIRST.replace("avg_pool_3x3~0", "avg_pool_3x3"), r"'avg_pool_3x3' in node 1 .* must end with ~0"),
    ],
)
def test_an_unreadable_arch_string_is_refused_at_its_offending_part(arch_str: str, message: str) -> None:
    with pytest.raises(ArchStringError, match=message) as caught:
        SPACE.check(arch_str)
    assert "\n" not in str(caught.value)


def test_the_published_number_of_isomorphism_classes_is_found() -> None:
    assert len({SPACE.classes["isomorphic"](name) for name in SPACE.arch_strings()}) == 6466


@pytest.mark.slow
def test_there_are_5044_functional_classes() -> None:
    assert len({SPACE.classes["functional"](name) for name in SPACE.arch_strings()}) == 5044


def test_the_string_rule_cannot_tell_a_shared_convolution_from_two() -> None:
    """Why `functional` is no mere coarsening: one convolution read twice is not two, yet the strings agree."""
    shared = str(Cell(("nor_conv_3x3", "none", "skip_connect", "none", "skip_connect", "skip_connect")))
    twice = str(Cell(("nor_conv_3x3", "nor_conv_3x3", "none", "none", "skip_connect", "skip_connect")))
    assert SPACE.classes["isomorphic"](shared) == SPACE.classes["isomorphic"](twice)
    assert SPACE.classes["functional"](shared) != SPACE.classes["functional"](twice)


@pytest.mark.parametrize(
    ("one", "other", "equal"),
    [
        (("skip", "none", "3x3", "none", "none", "skip"), ("3x3", "none", "skip", "none", "none", "skip"), True),
        (("none", "none", "3x3", "skip", "1x1", "none"), ("none", "none", "none", "skip", "none", "none"), True),
        (("pool", "none", "none", "none", "skip", "none"), ("skip", "none", "none", "none", "pool", "none"), True),
        (("3x3", "none", "none", "3x3", "skip", "none"), ("3x3", "none", "none", "none", "skip", "none"), False),
        (("1x1", "none", "none", "none", "3x3", "none"), ("3x3", "none", "none", "none", "1x1", "none"), False),
    ],
)
def test_functional_classes_of_small_cells(one: tuple[str, ...], other: tuple[str, ...], equal: bool) -> None:
    full = {
        "skip": "skip_connect",
        "3x3": "nor_conv_3x3",
        "1x1": "nor_conv_1x1",
        "pool": "avg_pool_3x3",
        "none": "none",
    }
    keys = [SPACE.classes["functional"](str(Cell(tuple(full[name] for name in cell)))) for cell in (one, other)]
    assert (keys[0] == keys[1]) is equal


def test_equal_functional_classes_compute_equal_functions() -> None:
    """Oracle: cells of one live convolution draw equal weights from equal seeds, so equal classes mean equal logits."""
    by_class: dict[str, list[str]] = {}
    for name in random.Random(0).sample(SPACE.arch_strings(), 2500):
        key = SPACE.classes["functional"](name)
        if sum(op.startswith("nor_conv") for op in Cell.parse(name).operations) == 1 and "nor_conv" in key:
            by_class.setdefault(key, []).append(name)
    pairs = [names[:2] for names in by_class.values() if len(names) > 1][:12]
    assert len(pairs) == 12
    images = torch.randn(4, 3, 8, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    for pair in pairs:
        outputs = []
        for name in pair:
            torch.manual_seed(0)
            outputs.append(SPACE.build(name, stem_channels=4, cells_per_stage=1).double()(images))
        torch.testing.assert_close(outputs[0], outputs[1], rtol=1e-9, atol=1e-9)


@given(CELLS)
def test_graph_features_agree_with_counting_by_hand(cell: Cell) -> None:
    features = dict(zip(GRAPH_FEATURE_NAMES, graph_features(str(cell)), strict=True))
    assert len(features) == 58
    assert sum(features[f"num_{op}"] for op in OPERATIONS) == 6
    ops = dict(zip(("01", "02", "12", "03", "13", "23"), cell.operations, strict=True))
    paths = [["03"], ["01", "13"], ["02", "23"], ["01", "12", "23"]]
    live = [[ops[edge] for edge in path] for path in paths if all(ops[edge] != "none" for edge in path)]
    assert features["num_live_paths"] == len(live)
    assert features["shortest_live_path"] == (min(map(len, live)) if live else 4)
    assert features["longest_conv_chain"] == max((sum("conv" in op for op in path) for path in live), default=0)


@pytest.mark.data
def test_order_sizes_and_classes_agree_with_the_published_table() -> None:
    folder = os.environ.get("NAP2_BENCHMARKS")
    if not folder:
        pytest.skip("set NAP2_BENCHMARKS to the folder of nb201_accuracy.csv.gz")
    with gzip.open(Path(folder) / "nb201_accuracy.csv.gz", "rt") as file:
        rows = list(csv.DictReader(file))
    assert [row["arch_str"] for row in sorted(rows, key=lambda row: int(row["index"]))] == list(SPACE.arch_strings())
    for row in rows:
        for dataset, num_classes in (("cifar10", 10), ("cifar100", 100), ("ImageNet16-120", 120)):
            assert SPACE.num_parameters(row["arch_str"], num_classes=num_classes) == int(row[f"params_{dataset}"])
