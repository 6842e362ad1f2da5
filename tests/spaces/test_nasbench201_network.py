"""The networks of cells, before any pruning: the function, the sizes, the order of modules, the initial weights."""

import random

import pytest
import torch
from oracle_nasbench201 import oracle_logits
from torch import nn
from torch.nn.functional import avg_pool2d, cross_entropy

from nap2.errors import NetworkError
from nap2.spaces import SPACES
from nap2.spaces.nasbench201.cell import OPERATIONS, Cell
from nap2.spaces.nasbench201.operations import AveragePool

SPACE = SPACES["nasbench201"]
SMALL = {"num_classes": 10, "stem_channels": 4, "cells_per_stage": 1}
HEAVIEST = str(Cell(("nor_conv_3x3",) * 6))
NOTHING = str(Cell(("none",) * 6))
SAMPLE = [NOTHING, HEAVIEST, *random.Random(3).sample(SPACE.arch_strings(), 6)]


@pytest.mark.parametrize("name", SAMPLE)
def test_logits_and_gradients_are_those_of_the_published_formulas(name):
    """The oracle takes the parameters by order, as published weights are loaded."""
    images = torch.randn(3, 3, 8, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    network = SPACE.build(name, num_classes=7, stem_channels=4, cells_per_stage=2).double()
    parameters = list(network.parameters())
    logits, expected = network(images), oracle_logits(name, iter(parameters), images, cells_per_stage=2)
    torch.testing.assert_close(logits, expected, rtol=1e-9, atol=1e-12)
    ours, theirs = (torch.autograd.grad(x.square().sum(), parameters) for x in (logits, expected))
    torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=1e-9)


def test_the_heaviest_network_has_the_published_size_and_98_layers():
    network = SPACE.build(HEAVIEST)
    assert sum(p.numel() for p in network.parameters()) == 1_531_546
    assert sum(isinstance(module, nn.Conv2d | nn.Linear) for module in network.modules()) == 98


@pytest.mark.parametrize("skeleton", [SMALL, {"num_classes": 7, "stem_channels": 6, "cells_per_stage": 2}])
def test_closed_form_sizes_equal_built_networks(skeleton):
    for name in SAMPLE:
        built = sum(p.numel() for p in SPACE.build(name, **skeleton).parameters())
        assert SPACE.num_parameters(name, **skeleton) == built


def test_modules_stand_in_the_published_order():
    names = [name for name, _ in SPACE.build(HEAVIEST, **SMALL).named_parameters()]
    assert names[0] == "stem.0.weight"
    assert names[3] == "cells.0.layers.0.op.1.weight"
    first_reduction = names[names.index("cells.1.conv_a.op.1.weight") :]
    assert first_reduction[:7] == [
        *(f"cells.1.{conv}.op.{part}" for conv in ("conv_a", "conv_b") for part in ("1.weight", "2.weight", "2.bias")),
        "cells.1.downsample.1.weight",
    ]
    assert names[-4:] == ["lastact.0.weight", "lastact.0.bias", "classifier.weight", "classifier.bias"]


def test_operations_stand_in_one_place_in_the_published_order():
    assert OPERATIONS == ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")


def test_initial_weights_are_a_function_of_the_seed():
    states = []
    for seed in (5, 5, 6):
        torch.manual_seed(seed)
        states.append(SPACE.build(HEAVIEST, **SMALL).state_dict())
    assert all(torch.equal(states[0][key], states[1][key]) for key in states[0])
    assert not torch.equal(states[0]["stem.0.weight"], states[2]["stem.0.weight"])


def test_a_network_of_nothing_trains():
    network = SPACE.build(NOTHING, **SMALL)
    optimizer = torch.optim.SGD(network.parameters(), 0.1, momentum=0.9)
    images, labels = torch.randn(6, 3, 8, 8), torch.tensor([0, 0, 0, 0, 1, 2])
    losses = []
    for _ in range(5):
        optimizer.zero_grad()
        loss = cross_entropy(network(images), labels)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0]  # the classifier's bias learns how frequent the labels are
    assert network.stem[0].weight.grad.abs().max() == 0


@pytest.mark.parametrize("side", [4, 8, 20])
def test_logits_have_one_column_per_class(side):
    network = SPACE.build(SAMPLE[2], num_classes=13, stem_channels=4, cells_per_stage=1)
    assert network(torch.zeros(2, 3, side, side)).shape == (2, 13)
    assert network.features(torch.zeros(2, 3, side, side)).shape == (2, 16)


@pytest.mark.parametrize("shape", [(2, 1, 8, 8), (2, 3, 6, 8), (2, 3, 8, 9), (3, 8, 8)])
def test_images_that_cannot_be_halved_twice_are_refused(shape):
    with pytest.raises(NetworkError, match=r"divisible by 4, not \[.*; repeat a single channel, resize or pad"):
        SPACE.build(NOTHING, **SMALL)(torch.zeros(shape))


@pytest.mark.parametrize("field", ["num_classes", "stem_channels", "cells_per_stage"])
@pytest.mark.parametrize("value", [0, -1, 2.5, "8"])
def test_a_size_that_is_no_whole_number_from_1_on_is_refused(field, value):
    with pytest.raises(NetworkError, match=f"cannot have {field}={value!r}; use a whole number from 1 on"):
        SPACE.build(HEAVIEST, **{**SMALL, field: value})


@pytest.mark.parametrize(
    "shape", [(2, 16, 64, 64), (64, 32, 8, 8), (1, 3, 1, 50_000), (50_000, 3, 1, 1), (2, 3, 1, 1), (2, 64, 4, 4)]
)
def test_pooling_is_the_same_in_every_memory_format(shape):
    """Channels-last pooling of many values takes another way, which must not show."""
    x = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    expected = avg_pool2d(x.double(), 3, stride=1, padding=1, count_include_pad=False)
    incoming = torch.randn(x.shape, generator=torch.Generator().manual_seed(1))
    (expected_gradient,) = gradients_of(lambda v: avg_pool2d(v, 3, 1, 1, count_include_pad=False), x, incoming)
    for memory_format in (torch.contiguous_format, torch.channels_last):
        laid_out = x.contiguous(memory_format=memory_format)
        torch.testing.assert_close(AveragePool()(laid_out), expected.float(), rtol=2e-6, atol=1e-6)
        (gradient,) = gradients_of(AveragePool(), laid_out, incoming)
        torch.testing.assert_close(gradient, expected_gradient, rtol=2e-6, atol=1e-6)


def gradients_of(function, x, incoming):
    x = x.detach().requires_grad_()
    return torch.autograd.grad(function(x), x, incoming)


def test_pooling_first_met_in_inference_mode_can_still_be_trained_through():
    x = torch.randn(1, 7, 140, 140).contiguous(memory_format=torch.channels_last)  # a shape no other test uses
    with torch.inference_mode():
        AveragePool()(x)
    gradients_of(AveragePool(), x, torch.ones_like(x))
