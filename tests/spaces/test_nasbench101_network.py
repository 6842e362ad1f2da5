"""The NAS-Bench-101 network against a plain reading of its description, and its sizes in closed form."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn.functional import batch_norm, conv2d, linear, max_pool2d

from nap2.errors import NetworkError
from nap2.feature_maps import feature_map
from nap2.spaces import SPACES
from nap2.spaces.nasbench101.cell import Cell
from nap2.spaces.nasbench101.channels import vertex_channels
from nap2.spaces.nasbench101.enumeration import arch_strings

SPACE = SPACES["nasbench101"]
SOME_CELLS = [*range(0, 95, 7), *range(100, SPACE.size, SPACE.size // 12)]
"""Places in the enumeration, which takes seconds and is therefore left to the tests that run."""
SMALL = {"num_classes": 7, "stem_channels": 6, "cells_per_stage": 2}


def plain_forward(arch_str: str, parameters: list[Tensor], x: Tensor, stem: int, cells: int) -> Tensor:
    """Logits by the published rules, weights taken from a list in the order in which the rules mention them."""
    parts, waiting = [part.split("~") for part in arch_str.split("|")], list(parameters)

    def conv_bn_relu(x: Tensor, kernel: int) -> Tensor:
        weight, scale, shift = waiting.pop(0), waiting.pop(0), waiting.pop(0)
        y = conv2d(x, weight, padding=kernel // 2)
        return batch_norm(y, None, None, scale, shift, training=True, eps=1e-5).clamp(min=0)

    x = conv_bn_relu(x, 3)
    for stage in range(3):
        if stage:
            x = max_pool2d(x, 2, ceil_mode=True)
        for _ in range(cells):
            width = vertex_channels(Cell.parse(arch_str), x.shape[1], stem * 2**stage)
            values = [x]
            for vertex, (name, *sources) in enumerate(parts, 1):
                read = [values[int(source)] for source in sources if source != "0"]
                if name == "output":
                    joined = torch.cat(read, 1) if read else torch.zeros(())
                    values.append(joined + conv_bn_relu(x, 1) if "0" in sources else joined)
                    continue
                total = sum(value[:, : width[vertex]] for value in read)
                if "0" in sources:
                    total = total + conv_bn_relu(x, 1)
                operation = {"conv3x3": 3, "conv1x1": 1}.get(name)
                values.append(conv_bn_relu(total, operation) if operation else max_pool2d(total, 3, 1, 1))
            x = values[-1]
    logits = linear(x.mean((2, 3)), waiting.pop(0), waiting.pop(0))
    assert not waiting
    return logits


@pytest.mark.parametrize("index", SOME_CELLS)
def test_logits_are_those_of_the_published_rules_with_parameters_in_their_order(index) -> None:
    arch_str = arch_strings()[index]
    torch.manual_seed(0)
    network = SPACE.build(arch_str, **SMALL).double()
    for parameter in network.parameters():
        nn.init.normal_(parameter)
    x = torch.randn(3, 3, 10, 10, dtype=torch.float64)
    expected = plain_forward(arch_str, list(network.parameters()), x, SMALL["stem_channels"], SMALL["cells_per_stage"])
    torch.testing.assert_close(network(x), expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(
    ("arch_str", "in_channels", "out_channels", "expected"),
    [  # the examples by which the benchmark tests its own rule
        ("conv3x3~0|conv3x3~1|output~2", 8, 16, [8, 16, 16, 16]),
        ("output~0", 1, 5, [1, 5]),
        ("conv3x3~0|conv3x3~0|conv3x3~1~2|output~3", 16, 8, [16, 8, 8, 8, 8]),
        ("conv3x3~0|conv3x3~0|output~1~2", 8, 8, [8, 4, 4, 8]),
        ("conv3x3~0|conv3x3~0|output~1~2", 8, 15, [8, 8, 7, 15]),
        ("conv3x3~0|conv3x3~0|conv3x3~0|output~1~2~3", 8, 8, [8, 3, 3, 2, 8]),
        ("conv3x3~0|conv3x3~1|conv3x3~1|output~2~3", 8, 9, [8, 5, 5, 4, 9]),
        ("conv3x3~0|conv3x3~1|conv3x3~0~2|output~1~3", 8, 15, [8, 8, 7, 7, 15]),
    ],
)
def test_channels_are_shared_out_as_published(arch_str, in_channels, out_channels, expected) -> None:
    assert vertex_channels(Cell.parse(arch_str), in_channels, out_channels) == expected


@pytest.mark.parametrize("index", SOME_CELLS)
def test_the_closed_form_counts_the_parameters_of_the_network(index) -> None:
    arch_str = arch_strings()[index]
    for skeleton in (SMALL, {"stem_channels": 128, "cells_per_stage": 1}):
        with torch.device("meta"):
            network = SPACE.build(arch_str, **skeleton)
        assert SPACE.num_parameters(arch_str, **skeleton) == sum(p.numel() for p in network.parameters())


def test_weights_are_drawn_as_published_and_from_the_seed_alone() -> None:
    arch_str = "conv3x3~0|conv1x1~1|output~0~2"
    first, second = (torch.manual_seed(3) and SPACE.build(arch_str) for _ in range(2))
    for own, other in zip(first.parameters(), second.parameters(), strict=True):
        assert torch.equal(own, other)
    for module in first.modules():
        if isinstance(module, nn.Conv2d) and module.weight.numel() > 10_000:
            fan_in = module.weight[0].numel()
            assert float(module.weight.detach().std()) * math.sqrt(fan_in) == pytest.approx(1.0, rel=0.03)
            assert float(module.weight.detach().abs().max()) <= 2 / 0.8796 / math.sqrt(fan_in)
    assert not first.classifier.bias.detach().any()


@pytest.mark.parametrize("side", [8, 9, 32])
def test_any_size_of_image_is_read(side) -> None:
    network = SPACE.build("conv3x3~0|maxpool3x3~0~1|output~0~1~2", **SMALL)
    assert network.features(torch.zeros(2, 3, side, side)).shape == (2, 4 * SMALL["stem_channels"])


def test_pruning_leaves_the_network_as_it_is() -> None:
    network = SPACE.build("conv3x3~0|output~0~1", **SMALL)
    before = [name for name, _ in network.named_modules()]
    assert network.prune_dead_edges() is network
    assert [name for name, _ in network.named_modules()] == before


def test_a_feature_map_has_the_layers_in_the_order_of_the_data() -> None:
    network = SPACE.build("conv1x1~0|output~0~1", num_classes=10, stem_channels=8, cells_per_stage=1)
    weights = feature_map(network, "weights")
    kernels = [module.weight for module in network.modules() if isinstance(module, (nn.Conv2d, nn.Linear))]
    assert [tuple(kernel.shape[1:]) for kernel in kernels[:4]] == [(3, 3, 3), (8, 1, 1), (8, 1, 1), (8, 1, 1)]
    for row, kernel in enumerate(kernels):
        assert float(weights[row, 0, 4]) == pytest.approx(float(kernel.detach().min()))


@pytest.mark.parametrize(
    ("skeleton", "message"),
    [
        ({"stem_channels": 0}, "stem_channels=0; use a whole number from 1 on"),
        ({"cells_per_stage": 1.5}, "cells_per_stage=1.5; use a whole number from 1 on"),
        ({"stem_channels": 2}, "stem_channels=2 cannot be shared by the 3 vertices"),
    ],
)
def test_impossible_sizes_are_refused(skeleton, message) -> None:
    with pytest.raises(NetworkError, match=message):
        SPACE.build("conv3x3~0|conv3x3~0|conv3x3~0|output~1~2~3", **skeleton)


def test_images_of_another_shape_are_refused() -> None:
    with pytest.raises(NetworkError, match=r"reads images \[B, 3, H, W\], not \[2, 1, 8, 8\]"):
        SPACE.build("output~0", **SMALL)(torch.zeros(2, 1, 8, 8))


@settings(max_examples=25, deadline=None)
@given(st.integers(0, SPACE.size - 1))
def test_graph_features_count_what_a_walk_over_the_cell_finds(index) -> None:
    arch_str = arch_strings()[index]
    cell = Cell.parse(arch_str)
    found = dict(zip(SPACE.graph_feature_names, SPACE.graph_features(arch_str), strict=True))
    paths, complete = [(0,)], []
    while paths:
        path = paths.pop()
        paths += [(*path, target) for source, target in cell.edges if source == path[-1]]
        complete += [path[1:-1]] if path[-1] == cell.output else []
    assert found["num_paths"] == len(complete)
    assert (found["shortest_path"], found["longest_path"]) == (min(map(len, complete)), max(map(len, complete)))
    chains = [sum(cell.operations[vertex - 1] == "conv3x3" for vertex in path) for path in complete]
    assert found["longest_conv3x3_chain"] == max(chains)
    assert found["num_edges"] == len(cell.edges) == sum(value for name, value in found.items() if name[:4] == "edge")
    assert found["num_vertices"] == len(cell.operations) + 2
    assert sum(found[f"num_{name}"] for name in ("conv3x3", "conv1x1", "maxpool3x3")) == len(cell.operations)
    assert found["input_is_added"] == found["edge0-output"]
    assert found["num_projections"] == sum(source == 0 for source, _ in cell.edges)
