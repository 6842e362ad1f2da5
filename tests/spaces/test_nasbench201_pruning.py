"""Dead-edge removal that no number shows: pruned networks beside unpruned ones, bit by bit."""

import copy
import random

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from nap2.snapshots.recorder import SnapshotRecorder
from nap2.spaces import SPACES
from nap2.spaces.nasbench201.cell import EDGES, Cell
from nap2.spaces.nasbench201.edge_roles import EdgeRole, edge_roles, is_cut_off

SPACE = SPACES["nasbench201"]
SMALL = {"num_classes": 10, "stem_channels": 4, "cells_per_stage": 1}
NAMES = {"0": "none", "s": "skip_connect", "1": "nor_conv_1x1", "3": "nor_conv_3x3", "p": "avg_pool_3x3"}


def arch(letters: str) -> str:
    """Operations of the edges 0→1, 0→2, 1→2, 0→3, 1→3, 2→3, one letter each."""
    return str(Cell(tuple(NAMES[letter] for letter in letters)))


CHOSEN = {
    "nothing": "000000",
    "cut off, convolutions of zeros feed the output": "003013",
    "cut off behind a convolution": "330000",
    "a convolution leads nowhere": "300s00",
    "a convolution of zeros beside a live path": "003s01",
    "a convolution of the bias of a convolution of zeros": "001p03",
    "pooling and skipping zeros": "00ps0s",
    "a skip makes two nodes one tensor beside a dead edge": "s0ssps",
    "a dead edge after a skip": "3s0s3p",
    "nothing is dead": "3p1s31",
}
DRAWN = random.Random(2).sample(SPACE.arch_strings(), 400)
PRUNABLE = [name for name in DRAWN if any(r is not EdgeRole.WHOLE for r in edge_roles(Cell.parse(name)))]
CASES = [pytest.param(arch(letters), id=what) for what, letters in CHOSEN.items()] + PRUNABLE[:8]
OPTIMIZERS = {
    "sgd": lambda p: torch.optim.SGD(p, 0.1, momentum=0.9, nesterov=True, weight_decay=5e-4),
    "adamw": lambda p: torch.optim.AdamW(p, 1e-3, weight_decay=5e-2),
}


def built(name: str, prune: bool, channels_last: bool = False) -> nn.Module:
    torch.manual_seed(0)
    network = SPACE.build(name, **SMALL)
    if prune:
        network.prune_dead_edges()
    return network.to(memory_format=torch.channels_last) if channels_last else network


def train(network: nn.Module, optimizer: str = "sgd", steps: int = 3) -> dict[str, list[torch.Tensor]]:
    """Everything a training run shows."""
    recorder = SnapshotRecorder(network, every=1, limit=steps)
    update = OPTIMIZERS[optimizer](network.parameters())
    generator = torch.Generator().manual_seed(1)
    seen = {"logits": [], "gradients": []}
    for _ in range(steps):
        images = torch.randn(4, 3, 8, 8, generator=generator)
        labels = torch.randint(0, 10, (4,), generator=generator)
        update.zero_grad()
        logits = network(images)
        cross_entropy(logits, labels).backward()
        recorder.step()
        seen["logits"].append(logits.detach())
        seen["gradients"] += [p.grad.clone() for p in network.parameters()]  # None has no clone
        update.step()
    seen["weights"] = [p.detach() for p in network.parameters()]
    seen["momenta"] = [v for state in update.state.values() for v in state.values() if isinstance(v, torch.Tensor)]
    seen["maps"] = [recorder.trajectory().values]
    network.eval()
    seen["evaluated"] = [network(images).detach()]
    return seen


def assert_bit_equal(one: dict[str, list[torch.Tensor]], other: dict[str, list[torch.Tensor]]) -> None:
    for what in one:
        for mine, theirs in zip(one[what], other[what], strict=True):
            assert torch.equal(mine, theirs), what


@pytest.mark.parametrize("name", CASES)
def test_pruning_changes_no_logit_gradient_weight_momentum_or_map(name):
    assert_bit_equal(train(built(name, prune=True)), train(built(name, prune=False)))


@pytest.mark.parametrize("name", CASES[:6])
def test_pruning_changes_nothing_for_another_optimizer_and_memory_format(name):
    pruned, plain = (built(name, prune, channels_last=True) for prune in (True, False))
    assert_bit_equal(train(pruned, "adamw", steps=2), train(plain, "adamw", steps=2))


@pytest.mark.slow
def test_pruning_changes_nothing_in_a_hundred_random_cells():
    for name in random.Random(7).sample(SPACE.arch_strings(), 100):
        pruned, plain = built(name, prune=True), built(name, prune=False)
        assert_bit_equal(train(pruned, steps=4), train(plain, steps=4))
        assert_equal_statistics(pruned, plain, name)


@pytest.mark.parametrize("name", [arch("003s01"), arch("300s00"), arch("001p03"), *PRUNABLE[:2]])
def test_running_statistics_differ_only_where_no_output_depends_on_them(name):
    pruned, plain = built(name, prune=True), built(name, prune=False)
    train(pruned), train(plain)
    assert_equal_statistics(pruned, plain, name)


def assert_equal_statistics(pruned: nn.Module, plain: nn.Module, name: str) -> None:
    """Every weight and buffer, but for the running statistics of edges that cannot reach the output."""
    roles = edge_roles(Cell.parse(name))
    idle = tuple(f"cells.{c}.layers.{e}." for c in range(5) for e in range(6) if roles[e] is EdgeRole.DEAD)
    for (key, mine), theirs in zip(pruned.state_dict().items(), plain.state_dict().values(), strict=True):
        assert torch.equal(mine, theirs) or (key.startswith(idle) and ("running" in key or "num_batches" in key)), key


def test_weights_without_effect_decay_all_the_same():
    """AdamW multiplies a weight whose gradient is zero by 1 - lr * weight_decay, and does nothing else to it."""
    network = built(arch("300s00"), prune=True)
    dead = [p for name, p in network.named_parameters() if name.startswith("cells.0.layers.0.")]
    before = [p.detach().clone() for p in dead]
    train(network, "adamw", steps=3)
    assert len(dead) == 3
    assert all(p.grad is not None and not p.grad.any() for p in dead)
    for parameter, start in zip(dead, before, strict=True):
        torch.testing.assert_close(parameter.detach(), start * (1 - 1e-3 * 5e-2) ** 3, rtol=1e-6, atol=0)


@pytest.mark.parametrize(
    ("letters", "whole", "bias"),
    [
        ("000000", "", ""),
        ("300s00", "03", ""),
        ("s00s30", "01 03 13", ""),
        ("003s01", "03 23", "12"),
        ("003s00", "03", ""),
        ("00ps0s", "03", ""),
        ("333333", "01 02 12 03 13 23", ""),
        ("300000", "", ""),
        ("000013", "", "13 23"),
    ],
)
def test_the_role_of_each_edge_follows_from_the_graph(letters, whole, bias):
    roles = edge_roles(Cell.parse(arch(letters)))
    named = {f"{source}{target}": role for (source, target), role in zip(EDGES, roles, strict=True)}
    assert " ".join(edge for edge, role in named.items() if role is EdgeRole.WHOLE) == whole
    assert " ".join(edge for edge, role in named.items() if role is EdgeRole.BIAS) == bias


def test_341_cells_are_cut_off():
    assert sum(is_cut_off(Cell.parse(name)) for name in SPACE.arch_strings()) == 341


@pytest.mark.parametrize(("letters", "edge"), [("300s00", 0), ("003s01", 2)])
def test_a_convolution_without_effect_is_not_executed(letters, edge):
    calls = {}
    for prune in (False, True):
        network = built(arch(letters), prune)
        seen = []
        network.cells[0].layers[edge].op[1].register_forward_hook(lambda *_, seen=seen: seen.append("called"))
        network(torch.zeros(2, 3, 8, 8))
        calls[prune] = len(seen)
    assert calls == {False: 1, True: 0}


def test_modules_and_initial_weights_do_not_depend_on_pruning():
    for name in (arch("300s00"), arch("003s01"), arch("000000")):
        pruned, plain = built(name, prune=True), built(name, prune=False)
        assert [n for n, _ in pruned.named_modules()] == [n for n, _ in plain.named_modules()]
        assert all(torch.equal(mine, plain.state_dict()[key]) for key, mine in pruned.state_dict().items())


def zero_gradient_count(network: nn.Module) -> int:
    network(torch.ones(2, 3, 8, 8)).sum().backward()
    return sum(p.grad is not None and not p.grad.any() for p in network.cells[0].layers[0].parameters())


def test_idle_weights_keep_their_zero_gradients_through_copies_and_loaded_tensors():
    network = built(arch("300s00"), prune=True)
    assert len(network.idle_parameters()) == 3 * 3  # weight, scale and shift in each of three cells
    assert zero_gradient_count(copy.deepcopy(network)) == 3
    network.load_state_dict({key: value.clone() for key, value in network.state_dict().items()}, assign=True)
    assert zero_gradient_count(network) == 3


def test_pruning_twice_is_pruning_once():
    network = built(arch("300s00"), prune=True)
    assert network.prune_dead_edges() is network
    assert len(network.idle_parameters()) == 9


def test_frozen_weights_and_passes_without_gradients_are_left_alone():
    network = built(arch("300s00"), prune=True)
    with torch.no_grad():
        assert not network(torch.ones(2, 3, 8, 8)).requires_grad
    for parameter in network.parameters():
        parameter.requires_grad_(False)
    assert not network(torch.ones(2, 3, 8, 8)).requires_grad


def test_second_derivatives_and_functional_gradients_go_through():
    network = built(arch("300s00"), prune=True).eval()
    parameters = list(network.parameters())
    loss = network(torch.ones(2, 3, 8, 8)).square().sum()
    first = torch.autograd.grad(loss, parameters, create_graph=True)
    torch.autograd.grad(sum(g.square().sum() for g in first), parameters, allow_unused=True)

    def loss_of(weights, image):
        return torch.func.functional_call(network, weights, image[None]).square().sum()

    weights = {name: p.detach() for name, p in network.named_parameters()}
    images = torch.randn(3, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    per_image = torch.func.vmap(torch.func.grad(loss_of), in_dims=(None, 0))(weights, images)
    alone = torch.func.grad(loss_of)(weights, images[1])
    for name in weights:
        torch.testing.assert_close(per_image[name][1], alone[name], rtol=1e-4, atol=1e-5)
