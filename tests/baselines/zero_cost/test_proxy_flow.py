"""Synaptic flow in log space: exact where float64 overflows, equal to float64 where it does not."""

import math
from fractions import Fraction

import pytest
import torch
from fakes_proxy import Residual, batch, cell_network, perceptron, residual_perceptron
from torch import nn

from nap2.baselines import score_network
from nap2.baselines.undefined import UndefinedScoreError
from nap2.baselines.zero_cost.homogeneous import absolute_network, find_cuts, plain_flow, scaled_flow


def log_total(flow):
    total = sum(
        (w.detach() * g).sum().item() for w, g in zip(flow.weights, flow.gradients, strict=True) if g is not None
    )
    return flow.log_scale + math.log(total)


def absolute(network):
    return absolute_network(network.double().train())


@pytest.mark.parametrize("kind", ["cell", "perceptron", "residual", "shrinking"])
def test_scaled_flow_equals_float64_where_float64_suffices(kind):
    network, size = {
        "cell": (cell_network(), 8),
        "perceptron": (perceptron(), 2),
        "residual": (residual_perceptron(12, gain=5.0), 2),
        "shrinking": (residual_perceptron(5, gain=0.01), 2),
    }[kind]
    network, image = absolute(network), torch.ones(1, 3, size, size, dtype=torch.float64)
    plain, scaled = plain_flow(network, image), scaled_flow(network, image)
    assert log_total(scaled) == pytest.approx(log_total(plain), rel=1e-12)
    for left, right in zip(plain.gradients, scaled.gradients, strict=True):
        torch.testing.assert_close(right * math.exp(scaled.log_scale), left, rtol=1e-9, atol=0.0)
    assert plain_flow(network, image) is not None  # biases are put back


def test_synflow_of_a_deep_chain_far_beyond_float64():
    depth, width = 400, 8
    network = nn.Sequential(
        nn.Flatten(), nn.Linear(12, width), *(nn.Sequential(nn.ReLU(), nn.Linear(width, width)) for _ in range(depth))
    )
    for parameter in network.parameters():
        nn.init.constant_(parameter, -3.0 if parameter.dim() == 2 else 0.0)
    x, y = batch(2, 2)
    score = score_network(network, x, y, ["synflow"])["synflow"]
    # R = 8 outputs * (12 * 3) * (8 * 3)^depth, and every one of depth + 1 layers contributes R.
    expected = math.log(width * 36) + depth * math.log(24) + math.log(depth + 1)
    assert expected > 709.8
    assert score.value == pytest.approx(expected, rel=1e-13)


def exact_flow(weights, first, last):
    """Sum over weights of w dR/dw for x -> x + |W| x blocks, in exact rational arithmetic."""

    def to_rational(matrix):
        return [[Fraction(value) for value in row] for row in matrix.tolist()]

    def apply(matrix, vector):
        return [sum(a * v for a, v in zip(row, vector, strict=True)) for row in matrix]

    matrices = [to_rational(w) for w in weights]
    first, last = to_rational(first), to_rational(last)
    states = [apply(first, [Fraction(1)] * len(first[0]))]
    for matrix in matrices:
        states.append([s + b for s, b in zip(states[-1], apply(matrix, states[-1]), strict=True)])
    pull = [sum(row[j] for row in last) for j in range(len(last[0]))]
    total = 2 * sum(p * s for p, s in zip(pull, states[-1], strict=True))  # last and first layer: R each
    for matrix, state in zip(reversed(matrices), reversed(states[:-1]), strict=True):
        through = apply(matrix, state)
        total += sum(p * t for p, t in zip(pull, through, strict=True))
        pull = [p + sum(pull[i] * matrix[i][j] for i in range(len(matrix))) for j, p in enumerate(pull)]
    return total


def test_synflow_of_residual_blocks_beyond_float64_equals_exact_arithmetic():
    network = residual_perceptron(150, width=3)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.copy_((parameter * 64).round() * 4 + 3 if parameter.dim() == 2 else torch.zeros_like(parameter))
    blocks = [m.branch[1].weight.detach().abs() for m in network if isinstance(m, Residual)]
    exact = exact_flow(blocks, network[1].weight.detach().abs(), network[-1].weight.detach().abs())
    expected = exact.numerator.bit_length()
    expected = math.log(exact.numerator >> (expected - 60)) + (expected - 60) * math.log(2)
    assert expected > 709.8
    value = score_network(network, *batch(2, 2, torch.float64), ["synflow"])["synflow"].value
    assert value == pytest.approx(expected, rel=1e-13)


def test_biases_enter_a_scaled_network_with_their_true_weight():
    network = residual_perceptron(30, gain=2.0)
    for block in network:
        if isinstance(block, Residual):
            nn.init.constant_(block.branch[1].bias, 50.0)
    network, image = absolute(network), torch.ones(1, 3, 2, 2, dtype=torch.float64)
    assert log_total(scaled_flow(network, image)) == pytest.approx(log_total(plain_flow(network, image)), rel=1e-12)


def test_logsynflow_beyond_float64_is_the_weighted_sum_of_log_gradients():
    depth, width = 500, 4
    network = nn.Sequential(
        nn.Flatten(), *(nn.Linear(12 if k == 0 else width, width, bias=False) for k in range(depth))
    )
    for parameter in network.parameters():
        nn.init.constant_(parameter, 2.0)
    value = score_network(network, *batch(2, 2), ["logsynflow"])["logsynflow"].value
    # A gradient is what arrives (24, then 8 times as much a layer) times what leaves it (8 a layer, 1 at the end).
    inner = (depth - 1) * width * width * 2 * (math.log(24) + (depth - 2) * math.log(8))
    first = 12 * width * 2 * (depth - 1) * math.log(8)
    assert value == pytest.approx(inner + first, rel=1e-12)


def test_cuts_are_the_places_every_path_crosses():
    network = absolute(residual_perceptron(2))
    cuts = find_cuts(network, torch.ones(1, 3, 2, 2, dtype=torch.float64))
    assert cuts == ["1", "2", "3", "4"]  # the blocks' outputs, not the branches inside them
    smooth = absolute(nn.Sequential(nn.Flatten(), nn.Linear(12, 4), nn.Sigmoid(), nn.Linear(4, 4), nn.Linear(4, 3)))
    assert find_cuts(smooth, torch.ones(1, 3, 2, 2, dtype=torch.float64)) == ["2", "3", "4"]  # linear from there on
    saturated = absolute(nn.Sequential(nn.Flatten(), nn.Linear(12, 4), nn.Linear(4, 3), nn.Sigmoid(), nn.Linear(3, 3)))
    assert find_cuts(saturated, torch.ones(1, 3, 2, 2, dtype=torch.float64)) == ["3", "4"]


def test_an_overflow_without_a_cut_is_a_failure():
    class Parallel(nn.Module):
        def __init__(self):
            super().__init__()
            self.left, self.right = (nn.Sequential(*(nn.Linear(12, 12) for _ in range(350))) for _ in range(2))
            for parameter in self.parameters():
                nn.init.constant_(parameter, 1.0)

        def forward(self, x):
            return self.left(x.flatten(1)) + self.right(x.flatten(1))

    network = absolute(Parallel())
    with pytest.raises(UndefinedScoreError, match="overflows float64 between two layers"):
        scaled_flow(network, torch.ones(1, 3, 2, 2, dtype=torch.float64))


def test_the_entropy_survives_overflow_because_it_ignores_scale():
    def deep(gain):
        torch.manual_seed(0)
        layers = [
            nn.Sequential(nn.Conv2d(3 if k == 0 else 6, 6, 3, padding=1, bias=False), nn.ReLU()) for k in range(6)
        ]
        return nn.Sequential(*layers, Gain(gain), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 4))

    class Gain(nn.Module):
        def __init__(self, factors):
            super().__init__()
            self.factors = factors

        def forward(self, x):
            for factor in self.factors:
                x = x * factor
            return x

    x, y = batch(2)
    modest = score_network(deep([2.0]), x, y, ["entropic_score"])["entropic_score"].value
    extreme = score_network(deep([2.0**1000, 2.0**-999]), x, y, ["entropic_score"])["entropic_score"].value
    assert extreme == pytest.approx(modest, rel=1e-12)
    wide = nn.Sequential(
        *(nn.Sequential(nn.Conv2d(3, 3, 1), nn.ReLU()) for _ in range(900)), nn.AdaptiveAvgPool2d(1), nn.Flatten()
    )
    assert score_network(wide, x, y % 3, ["entropic_score"])["entropic_score"].failure is None
