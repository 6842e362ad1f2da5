"""Every proxy computes what plain code computes, and what finite differences and loops say."""

import math
import runpy
from pathlib import Path

import numpy as np
import pytest
import torch
from fakes_proxy import DENSE_CELL, batch, cell_network, perceptron, small_convnet
from torch import nn
from torch.nn.functional import cross_entropy

from nap2.baselines import PROXIES, score_network

PLAIN = runpy.run_path(str(Path(__file__).parents[3] / "benchmarks" / "references" / "proxies_plain.py"))
DRAWN = PLAIN["DRAWN"]


def value(network, x, y, name, **options):
    score = score_network(network, x, y, [name], **options)[name]
    assert score.failure is None, score.failure
    return score.value


@pytest.fixture(scope="module")
def cell_scores():
    network, (x, y) = cell_network(dtype=torch.float64), batch(dtype=torch.float64)
    return network, x, y, score_network(network, x, y)


@pytest.mark.parametrize("name", [name for name in PLAIN["REFERENCES"] if name not in DRAWN])
def test_a_proxy_of_a_cell_equals_the_plain_code(cell_scores, name):
    network, x, y, scores = cell_scores
    assert scores[name].failure is None
    assert scores[name].value == pytest.approx(PLAIN["REFERENCES"][name](network, x, y), rel=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("name", DRAWN)
def test_a_drawn_proxy_has_the_distribution_of_the_plain_code(name):
    network, (x, y) = cell_network(dtype=torch.float64), batch(dtype=torch.float64)
    torch.manual_seed(3)
    theirs = np.array([PLAIN["REFERENCES"][name](network, x, y) for _ in range(6)])
    ours = np.array([value(network, x, y, name, seed=seed) for seed in range(6)])
    error = math.hypot(ours.std(ddof=1), theirs.std(ddof=1)) / math.sqrt(6)
    assert abs(ours.mean() - theirs.mean()) <= 4.5 * error


def test_every_proxy_has_a_plain_counterpart():
    assert set(PLAIN["REFERENCES"]) == set(PROXIES)


def loss_at(network, weights, x, y, direction, step):
    with torch.no_grad():
        for weight, delta in zip(weights, direction, strict=True):
            weight.add_(delta, alpha=step)
        loss = cross_entropy(network(x), y).item()
        for weight, delta in zip(weights, direction, strict=True):
            weight.add_(delta, alpha=-step)
    return loss


def test_plain_is_the_derivative_of_the_loss_along_the_weights():
    network, (x, y) = perceptron(), batch(5, 2, torch.float64, 3)
    weights = [network[1].weight, network[3].weight]
    step = 1e-5
    direction = [w.detach().clone() for w in weights]
    slope = loss_at(network, weights, x, y, direction, step) - loss_at(network, weights, x, y, direction, -step)
    assert value(network, x, y, "plain") == pytest.approx(slope / (2 * step), rel=1e-6)


def test_snip_and_grad_norm_by_finite_differences_of_every_weight():
    network, (x, y) = perceptron(), batch(5, 2, torch.float64, 3)
    snip, norms = 0.0, 0.0
    for weight in (network[1].weight, network[3].weight):
        slopes = torch.zeros_like(weight)
        for index in np.ndindex(*weight.shape):
            delta = torch.zeros_like(weight)
            delta[index] = 1.0
            upper, lower = (loss_at(network, [weight], x, y, [delta], step) for step in (1e-5, -1e-5))
            slopes[index] = (upper - lower) / 2e-5
        snip += (weight * slopes).abs().sum().item()
        norms += slopes.norm().item()
    assert value(network, x, y, "snip") == pytest.approx(snip, rel=1e-6)
    assert value(network, x, y, "grad_norm") == pytest.approx(norms, rel=1e-6)


def test_grasp_is_the_change_of_half_the_squared_gradient_along_the_weights():
    network, (x, y) = small_convnet()[:-2].append(nn.Linear(5, 4, dtype=torch.float64)), batch(5, 6, torch.float64)
    weights = [m.weight for m in network if isinstance(m, nn.Conv2d | nn.Linear)]
    start = [w.detach().clone() for w in weights]

    def squared(step):
        with torch.no_grad():
            for weight, origin in zip(weights, start, strict=True):
                weight.copy_(origin * (1 + step))
        gradients = torch.autograd.grad(cross_entropy(network(x), y), weights)
        return sum(g.square().sum().item() for g in gradients) / 2

    expected = -(squared(1e-4) - squared(-1e-4)) / 2e-4
    squared(0.0)
    assert value(network, x, y, "grasp") == pytest.approx(expected, rel=1e-5)


def test_jacobian_scores_by_a_loop_over_images():
    network, (x, y) = perceptron(), batch(6, 2, torch.float64, 3)
    rows = []
    for image in x:
        image = image[None].requires_grad_(True)
        network(image).sum().backward()
        rows.append(image.grad.flatten().numpy())
    correlations = np.corrcoef(np.stack(rows))
    eigenvalues = np.linalg.eigvals(correlations).real + 1e-5
    assert value(network, x, y, "jacob_cov") == pytest.approx(-np.sum(np.log(eigenvalues) + 1 / eigenvalues), rel=1e-6)
    expected = sum(
        abs(np.log(abs(correlations[i, j]) + 1e-5) * 2 + 2 * np.log(1 + 1e-5)) for i, j in ((0, 3), (1, 4), (2, 5))
    )
    assert value(network, x, y, "epe_nas") == pytest.approx(expected, rel=1e-6)


def test_epe_nas_compares_classes_in_pairs_above_a_hundred_of_them():
    network, (x, _) = nn.Sequential(nn.Flatten(), nn.Linear(12, 101), nn.Tanh()).double(), batch(6, 2, torch.float64)
    y = torch.tensor([0, 0, 1, 1, 1, 100])
    rows, _ = PLAIN["jacobian"](network, x)
    scores = [np.log(np.abs(np.corrcoef(rows[y == c])) + 1e-5).sum() / (y == c).sum().item() for c in (0, 1, 100)]
    expected = (abs(scores[0] - scores[1]) + abs(scores[0] - scores[2]) + abs(scores[1] - scores[2])) / 3
    assert value(network, x, y, "epe_nas") == pytest.approx(expected, rel=1e-9)


def test_naswot_counts_hamming_distances():
    network, (x, y) = small_convnet()[:-2].append(nn.Linear(5, 4, dtype=torch.float64)), batch(4, 6, torch.float64)
    patterns = torch.cat(PLAIN["codes"](network, x), 1).numpy()
    kernel = [[np.sum(a == b) for b in patterns] for a in patterns]
    assert value(network, x, y, "naswot") == pytest.approx(np.linalg.slogdet(np.array(kernel, float))[1], rel=1e-12)


def test_naswot_of_the_cell_counts_every_relu_once():
    network, (x, y) = cell_network(), batch(3)
    num_neurons = sum(c.shape[1] for c in PLAIN["codes"](network, x))
    cells = DENSE_CELL.count("nor_conv") * (4 * 64 + 8 * 16 + 16 * 4)
    reductions = (4 * 64 + 8 * 16) + (8 * 16 + 16 * 4)
    assert num_neurons == cells + reductions + 16 * 4
    assert value(network, x[:1], y[:1], "naswot") == pytest.approx(math.log(num_neurons))


@pytest.mark.parametrize("num_images", [1, 5, 16, 17, 63, 64, 65, 130])
def test_swap_counts_the_distinct_patterns_of_any_number_of_images(num_images):
    network, (x, y) = perceptron(), batch(num_images, 2, torch.float64, 3)
    patterns = {tuple(column) for column in (network[:2](x) > 0).t().tolist()}
    assert value(network, x, y, "swap") == len(patterns)


def test_fisher_of_a_linear_layer_in_closed_form():
    network, (x, y) = nn.Sequential(nn.Flatten(), nn.Linear(12, 3)).double(), batch(4, 2, torch.float64, 3)
    logits = network(x).detach()
    errors = (logits.softmax(1) - nn.functional.one_hot(y, 3)) / 4
    assert value(network, x, y, "fisher") == pytest.approx(((logits * errors).square().mean(0) / 2).sum().item() * 12)


def test_zico_and_l_swag_by_two_separate_backward_passes():
    network, (x, y) = perceptron(), batch(6, 2, torch.float64, 3)
    weights = [network[1].weight, network[3].weight]
    first, second = (torch.autograd.grad(cross_entropy(network(x[k]), y[k]), weights) for k in (slice(3), slice(3, 6)))
    ratios = [((a.abs() + b.abs()) / (a - b).abs())[a != b].sum().item() for a, b in zip(first, second, strict=True)]
    assert value(network, x, y, "zico") == pytest.approx(sum(map(math.log, ratios)), rel=1e-9)
    gaps = [(a.abs() - b.abs()).abs() / 2 for a, b in zip(first, second, strict=True)]
    spread = sum(math.log((1 / gap[gap > 0]).sum().item()) for gap in gaps)
    assert value(network, x, y, "l_swag") == pytest.approx(spread * value(network, x, y, "swap"), rel=1e-9)


def test_the_tangent_kernel_of_a_linear_network_is_the_gram_matrix_of_the_images():
    network, (x, y) = nn.Sequential(nn.Flatten(), nn.Linear(12, 3)).double(), batch(4, 2, torch.float64, 3)
    eigenvalues = torch.linalg.eigvalsh(x.flatten(1) @ x.flatten(1).t())
    assert value(network, x, y, "te_nas") == pytest.approx((eigenvalues[-1] / eigenvalues[0]).item(), rel=1e-9)


def test_gradsign_of_a_linear_network_in_closed_form():
    network, (x, y) = nn.Sequential(nn.Flatten(), nn.Linear(12, 3)).double(), batch(4, 2, torch.float64, 3)
    errors = (network(x).detach().softmax(1) - nn.functional.one_hot(y, 3)).sign()
    signs = torch.einsum("bk,bd->kd", errors, x.flatten(1).sign())
    assert value(network, x, y, "gradsign") == pytest.approx(signs.abs().mean().item())


def test_operations_of_convolutions_and_attention_in_closed_form():
    network = nn.Sequential(nn.Conv2d(3, 4, 3, stride=2, groups=1), nn.Flatten(), nn.Linear(4 * 9, 2))
    x, y = batch(2, 7, num_classes=2)
    assert value(network, x, y, "flops") == 9 * 4 * 27 + 72

    class Attention(nn.Module):
        def __init__(self):
            super().__init__()
            self.attention = nn.MultiheadAttention(6, 2, batch_first=True)

        def forward(self, x):
            return self.attention(x, x, x)[0].mean(1)

    tokens = torch.randn(2, 5, 6)
    assert value(Attention(), tokens, y, "flops") == 4 * 5 * 6 * 6 + 2 * 5 * 5 * 6


def test_zen_of_one_convolution_in_closed_form():
    network = nn.Sequential(nn.Conv2d(3, 64, 1), nn.BatchNorm2d(64), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    x, y = batch(16, 8)
    # Unit variance after normalisation: a step of 0.01 moves 64 * 64 values by E|N(0, 0.01^2)| each. The running
    # variance is 0.81 + 0.19 * 3: each of 3 input channels adds 1.
    expected = math.log(64 * 64 * 0.01 * math.sqrt(2 / math.pi)) + 0.5 * math.log(0.81 + 0.19 * 3)
    assert value(network, x, y, "zen") == pytest.approx(expected, abs=0.25)


def test_meco_of_uncorrelated_channels_is_one_a_map():
    class Fixed(nn.Module):
        def forward(self, x):
            return (
                torch.stack([torch.tensor([[1.0, -1, 1, -1]]), torch.tensor([[1.0, 1, -1, -1]])])[None]
                .flatten(2, 2)
                .expand(len(x), -1, -1, -1)
            )

    network = nn.Sequential(Fixed(), nn.Flatten(), nn.Linear(8, 2))
    assert value(network, *batch(2, num_classes=2), "meco") == pytest.approx(1.0)


def test_the_entropy_of_a_constant_map_is_zero_and_of_two_levels_is_known():
    class Constant(nn.Module):
        def forward(self, x):
            return x.new_tensor([[1.0, 0.5], [0.5, 0.5]]).expand(1, 1, 2, 2)

    network = nn.Sequential(Constant(), nn.ReLU(), nn.Flatten(), nn.Linear(4, 2))
    assert value(network, *batch(2, num_classes=2), "entropic_score") == pytest.approx(
        0.75 * 0.5 * math.log(2), rel=1e-6
    )
    network = nn.Sequential(nn.AdaptiveMaxPool2d(1), nn.ReLU(), nn.Flatten(), nn.Linear(3, 2))
    assert value(network, *batch(2, num_classes=2), "entropic_score") == pytest.approx(0.0, abs=1e-6)
