"""The stand-in notices what a GPU would refuse, wait for, or not reproduce."""

import copy

import pytest
import torch
from stand_in_gpu import MixedDevicesError, stand_in_gpu
from torch import nn


@pytest.fixture
def traffic():
    with stand_in_gpu() as seen:
        yield seen


def test_operands_on_two_devices_are_refused(traffic):
    weight = torch.ones(3, device="cuda")
    with pytest.raises(MixedDevicesError, match=r"given tensors on the CPU, of shape \[3\]"):
        weight + torch.ones(3)
    with pytest.raises(MixedDevicesError):
        weight[torch.tensor([0, 1])]
    assert float((weight + torch.tensor(1.0)).sum()) == 6.0  # a number may come from anywhere
    with pytest.raises(TypeError, match=r"Use Tensor\.cpu\(\) first"):
        weight.numpy()


def test_a_backward_pass_of_ones_own_is_held_to_it_too(traffic):
    class Careless(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x.clone()

        @staticmethod
        def backward(ctx, gradient):
            return gradient * torch.ones(2)

    with pytest.raises(MixedDevicesError):
        Careless.apply(torch.ones(2, device="cuda").requires_grad_()).sum().backward()


def test_what_is_asked_back_is_counted(traffic):
    x = torch.arange(6.0).to("cuda")
    assert traffic.uploads == 1
    for ask in (lambda: x.cpu(), lambda: x.to("cpu"), lambda: x.tolist()):
        traffic.clear()
        ask()
        assert (traffic.waits.total(), traffic.values) == (1, 6)
    for ask in (lambda: x.sum().item(), lambda: bool((x > 0).all()), lambda: x[x > 2], lambda: x.nonzero()):
        traffic.clear()
        ask()
        assert traffic.waits.total() == 1
    traffic.clear()
    (x * 2 + 1).sum()
    assert not traffic.waits


def test_sums_without_an_order_are_noticed(traffic):
    rows, zeros = torch.ones(4, 2, device="cuda"), torch.zeros(3, 2, device="cuda")
    zeros.index_add(0, torch.tensor([2, 0], device="cuda"), rows[:2])
    assert not traffic.unordered
    zeros.index_add(0, torch.tensor([2, 2, 0, 1], device="cuda"), rows)
    assert traffic.unordered == {"index_add": 1}


def test_networks_learn_there_as_on_a_cpu(traffic):
    torch.manual_seed(0)
    on_cpu = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))
    on_gpu, images = copy.deepcopy(on_cpu).cuda(), torch.randn(5, 3)
    for model, inputs in ((on_cpu, images), (on_gpu, images.to("cuda"))):
        optimizer = torch.optim.AdamW(model.parameters(), fused=True)
        for _ in range(3):
            optimizer.zero_grad()
            model(inputs).square().sum().backward()
            optimizer.step()
    twin = copy.deepcopy(on_gpu)
    for trained in (on_gpu, twin):
        assert all(p.is_cuda for p in trained.parameters())
        assert all(torch.equal(p.cpu(), q) for p, q in zip(trained.parameters(), on_cpu.parameters(), strict=True))


def test_it_is_gone_afterwards():
    before = torch.cuda.is_available()
    with stand_in_gpu():
        assert torch.cuda.is_available()
    assert torch.cuda.is_available() == before
