"""What a network may do that a proxy cannot follow: one reason in one line, and every other value as ever."""

import pytest
import torch
from fakes_proxy import batch, small_convnet
from torch import nn
from torch.nn.utils.parametrizations import spectral_norm, weight_norm

from nap2.baselines import PROXIES, score_network
from nap2.errors import NetworkError


class ThroughModule(nn.Module):
    """A convnet whose logits go through `last`."""

    def __init__(self, last):
        super().__init__()
        self.body, self.last = small_convnet(torch.float32), last

    def forward(self, x):
        return self.last(self.body(x))


class NoWayBack(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x * 1.0

    @staticmethod
    def backward(ctx, gradient):
        raise KeyError("no way back")


class OddError(Exception):
    pass


def raising(error):
    def forward(_):
        raise error

    return ThroughModule(forward)


@pytest.mark.parametrize("error", [StopIteration(), OSError("no such file"), OddError("odd\nlines")])
def test_whatever_a_forward_raises_is_a_failure(error):
    scores = score_network(raising(error), *batch(4, 6))
    assert {name for name, score in scores.items() if score.failure is None} == {"params", "l2_norm"}
    assert scores["snip"].failure.startswith(f"the network failed: {type(error).__name__}")
    assert "\n" not in scores["snip"].failure


@pytest.mark.parametrize("others", [[], ["snip", "jacob_cov", "grasp"], list(PROXIES)])
def test_a_backward_that_fails_leaves_what_needs_none(others):
    x, y = batch(4, 6)
    scores = score_network(ThroughModule(NoWayBack.apply), x, y, [*others, "naswot", "swap", "meco"])
    plain = score_network(ThroughModule(nn.Identity()), x, y, ["naswot", "swap", "meco"])
    for name, score in plain.items():  # the run was repeated in the other memory format
        assert scores[name].value == pytest.approx(score.value, rel=1e-5)
    assert {scores[name].failure for name in others if name in ("snip", "jacob_cov", "grasp", "wrcor")} <= {
        "the network failed: KeyError: 'no way back'"
    }


def test_logits_without_a_gradient_are_named():
    scores = score_network(ThroughModule(torch.Tensor.detach), *batch(4, 6), ["synflow", "snip", "naswot"])
    assert scores["synflow"].failure == "the logits do not depend on any weight"
    assert scores["snip"].failure == "the loss does not depend on any weight"
    assert scores["naswot"].failure is None


def test_a_network_of_zeros_has_no_path():
    network = small_convnet(torch.float32)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.zero_()
    found = score_network(network, *batch(4, 6), ["synflow", "logsynflow", "grad_norm", "snip"])
    assert found["synflow"].failure == "no path leads from the image to the logits (its logarithm is -inf)"
    assert found["snip"].value == 0.0


def test_no_class_at_all_is_no_logits():
    with pytest.warns(UserWarning, match="zero-element"):
        network = nn.Sequential(nn.Flatten(), nn.Linear(12, 5), nn.ReLU(), nn.Linear(5, 0))
    scores = score_network(network, *batch(4, 2), ["snip", "jacob_cov", "synflow", "flops"])
    assert {scores[name].failure for name in ("snip", "jacob_cov")} == {
        "it needs logits [4, classes], found shape [4, 0]"
    }
    assert scores["synflow"].failure == "it needs logits, found shape [1, 0]"
    assert scores["flops"].value == 60.0


def test_lazy_and_complex_tensors_are_refused_before_any_work():
    x, y = batch(4, 6)
    with pytest.raises(NetworkError, match="lazy layers without weights yet; run one batch through it"):
        score_network(nn.Sequential(nn.Flatten(), nn.LazyLinear(3)), x, y)
    with pytest.raises(NetworkError, match="complex; proxies are defined for real ones only"):
        score_network(small_convnet(torch.float32), x.to(torch.complex64), y)
    network = nn.Flatten()
    network.register_buffer("rotation", torch.zeros(2, dtype=torch.complex64))
    with pytest.raises(NetworkError, match="complex"):
        score_network(network, x, y)


@pytest.mark.parametrize("norm", [weight_norm, spectral_norm])
def test_computed_weights_are_scored_by_their_values_and_stay_as_they_are(norm):
    torch.manual_seed(0)
    computed = nn.Sequential(nn.Flatten(), norm(nn.Linear(12, 6)), nn.ReLU(), nn.Linear(6, 4))
    plain = nn.Sequential(nn.Flatten(), nn.Linear(12, 6), nn.ReLU(), nn.Linear(6, 4))
    computed.eval()
    with torch.no_grad():
        plain[1].weight.copy_(computed[1].weight)
        plain[1].bias.copy_(computed[1].bias)
    plain[3].load_state_dict(computed[3].state_dict())
    computed.train()  # now a look at the weight would be a step of the power iteration
    before = {name: tensor.clone() for name, tensor in computed.state_dict().items()}
    x, y = batch(5, 2)
    names = [name for name in PROXIES if name not in ("params", "l2_norm", "swap_reg")]
    found, expected = score_network(computed, x, y, names), score_network(plain, x, y, names)
    assert {name: s.value for name, s in found.items()} == {name: s.value for name, s in expected.items()}
    l2_norm = score_network(computed.eval(), x, y, ["l2_norm"])["l2_norm"].value
    assert l2_norm == pytest.approx(score_network(plain, x, y, ["l2_norm"])["l2_norm"].value, rel=1e-6)
    score_network(computed.train(), x, y)
    assert all(torch.equal(tensor, before[name]) for name, tensor in computed.state_dict().items())
    assert score_network(computed, x, y, ["params"])["params"].value == sum(p.numel() for p in computed.parameters())
