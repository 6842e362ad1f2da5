import pytest
import torch
from torch import nn

from nap2.training.validation import accuracy


def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Dropout(0.5), nn.Linear(8, 3))


def batches():
    random = torch.Generator().manual_seed(1)
    return [(torch.randn(n, 4, generator=random), torch.randint(3, (n,), generator=random)) for n in (7, 7, 3)]


def test_accuracy_is_the_share_of_hits_in_evaluation_mode():
    net = network()
    inputs, labels = torch.cat([b[0] for b in batches()]), torch.cat([b[1] for b in batches()])
    expected = (net.eval()(inputs).argmax(1) == labels).double().mean().item()
    assert accuracy(net.train(), batches()) == expected


def test_measuring_leaves_no_trace():
    net = network().train()
    net[1].eval()  # a layer that somebody froze
    net(torch.randn(5, 4)).sum().backward()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    gradients, random = [p.grad.clone() for p in net.parameters()], torch.get_rng_state()
    accuracy(net, batches())
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    assert all(torch.equal(p.grad, old) for p, old in zip(net.parameters(), gradients, strict=True))
    assert [module.training for module in net] == [True, False, True, True]
    assert torch.equal(torch.get_rng_state(), random)


def test_the_mode_comes_back_after_an_error():
    net = network().train()
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        accuracy(net, [(torch.randn(2, 5), torch.zeros(2, dtype=torch.int64))])
    assert all(module.training for module in net.modules())
