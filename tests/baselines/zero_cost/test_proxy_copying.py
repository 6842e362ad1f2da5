"""A copy is what `copy.deepcopy` makes: equal, and nothing of it is the original's."""

import copy
import threading

import pytest
import torch
from fakes_proxy import Encoder, cell_network, residual_perceptron, small_convnet
from torch import nn
from torch.nn.utils.parametrizations import spectral_norm, weight_norm

from nap2.baselines import score_network
from nap2.baselines.zero_cost.copying import copy_network, is_copied_by_default


def seen(module):
    """Everything about a module and those within, with tensors as lists and objects by their class."""

    def plain(value):
        if isinstance(value, torch.Tensor):
            return type(value), value.dtype, value.stride(), value.requires_grad, value.grad, value.tolist()
        if isinstance(value, nn.Module):
            return {name: plain(entry) for name, entry in vars(value).items()}
        if isinstance(value, dict):
            return type(value), [(name, plain(entry)) for name, entry in value.items()]
        return (type(value), [plain(v) for v in value]) if isinstance(value, (list, tuple)) else value

    return [(name, type(part), plain(part)) for name, part in module.named_modules(remove_duplicate=False)]


NETWORKS = {
    "cell": cell_network,
    "channels last": lambda: cell_network().to(memory_format=torch.channels_last),
    "convnet": lambda: small_convnet(torch.float32).eval(),
    "residual": lambda: residual_perceptron(3),
    "encoder": Encoder,
    "frozen": lambda: small_convnet().requires_grad_(False),
}


@pytest.mark.parametrize("kind", NETWORKS)
def test_a_copy_equals_a_deep_copy_and_shares_no_memory(kind):
    network = NETWORKS[kind]()
    twin = copy_network(network)
    assert seen(twin) == seen(copy.deepcopy(network))
    mine, theirs = ({t.data_ptr() for t in (*n.parameters(), *n.buffers()) if t.numel()} for n in (network, twin))
    assert not mine & theirs
    assert not {id(m) for m in network.modules()} & {id(m) for m in twin.modules()}


def test_what_is_one_object_in_a_network_is_one_in_its_copy():
    network = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3), nn.BatchNorm1d(3))
    network[1].weight = network[0].weight
    network.append(network[2])
    network.log = network[0].log = []
    network.parts = [network[0], network]
    network.register_buffer("whole", torch.zeros(4))
    network.register_buffer("part", network.whole[1:3])
    network.register_buffer("alias", network.whole.data)
    twin = copy_network(network)
    assert twin[1].weight is twin[0].weight
    assert twin[3] is twin[2]
    assert twin.log is twin[0].log
    assert twin.log is not network.log
    assert twin.parts[0] is twin[0]
    assert twin.parts[1] is twin
    twin.whole += 1.0
    assert twin.part.tolist() == [1.0, 1.0]
    assert twin.alias.tolist() == [1.0] * 4
    assert network.whole.tolist() == [0.0] * 4


def test_classes_that_are_left_out_are_the_identity_in_the_copy_alone():
    network = small_convnet(torch.float32)
    twin, whole = copy_network(network, without=(nn.BatchNorm2d,)), copy_network(network)
    kinds = [type(module) for module in whole]
    assert [type(module) for module in network] == kinds
    assert [type(module) for module in twin] == [nn.Identity if kind is nn.BatchNorm2d else kind for kind in kinds]
    assert isinstance(copy_network(nn.BatchNorm2d(3), without=(nn.BatchNorm2d,)), nn.Identity)


def test_gradients_are_left_behind_and_hooks_come_along():
    network = small_convnet(torch.float32)
    network[0].weight.grad = torch.ones_like(network[0].weight)
    calls = []
    network[0].register_forward_hook(lambda module, *_: calls.append(id(module)))
    twin = copy_network(network)
    assert twin[0].weight.grad is None
    twin(torch.zeros(2, 3, 6, 6))
    assert calls == [id(twin[0])]


class OwnCopy(nn.Linear):
    def __deepcopy__(self, memo):
        memo[id(self)] = twin = OwnCopy(self.in_features, self.out_features)
        twin.load_state_dict(self.state_dict())
        twin.made_by = "its own method"
        return twin


class Counted(nn.Linear):
    def __getstate__(self):
        return {**self.__dict__, "came_by": "its own state"}


def test_a_class_that_says_how_it_is_copied_is_copied_so():
    twin = copy_network(nn.Sequential(OwnCopy(2, 2), Counted(2, 2), nn.ReLU()))
    assert twin[0].made_by == "its own method"
    assert twin[1].came_by == "its own state"
    assert is_copied_by_default(nn.Conv2d)
    assert not is_copied_by_default(OwnCopy)
    assert not is_copied_by_default(Counted)


@pytest.mark.parametrize("norm", [weight_norm, spectral_norm])
def test_parametrised_layers_compute_the_same(norm):
    network = nn.Sequential(nn.Flatten(), norm(nn.Linear(12, 4)), nn.ReLU(), nn.Linear(4, 2)).eval()
    x = torch.randn(3, 3, 2, 2, generator=torch.Generator().manual_seed(0))
    assert torch.equal(copy_network(network)(x), network(x))


def test_what_cannot_be_copied_fails_in_one_line():
    network = small_convnet(torch.float32)
    network.lock = threading.Lock()
    score = score_network(network, torch.zeros(2, 3, 6, 6), torch.tensor([0, 1]), ["snip"])["snip"]
    assert score.failure == "the network cannot be copied: TypeError: cannot pickle '_thread.lock' object"


class KeepsItsNorm(nn.Sequential):
    """Its `train` returns nothing, as many that freeze their normalisation have it."""

    def train(self, mode=True):
        super().train(mode)


def test_a_network_whose_train_returns_nothing_is_scored_as_another():
    names, images, labels = ["snip", "synflow", "flops"], torch.randn(2, 3, 6, 6), torch.tensor([0, 1])
    plain = nn.Sequential(weight_norm(nn.Conv2d(3, 4, 3)), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(64, 3))
    found = [score_network(network, images, labels, names) for network in (plain, KeepsItsNorm(*plain))]
    assert [found[1][name].value for name in names] == [found[0][name].value for name in names]
    assert all(score.failure is None for score in found[0].values())


@pytest.mark.parametrize("wrap", [nn.DataParallel, torch.compile])
def test_a_wrapped_network_is_scored_as_the_bare_one(wrap):
    network, batch = small_convnet(), (torch.randn(6, 3, 8, 8), torch.arange(6) % 3)
    names = ("snip", "naswot", "grasp", "synflow")
    found, expected = (score_network(one, *batch, names) for one in (wrap(network), network))
    assert all(score.failure is None for score in expected.values())
    assert {name: score.value for name, score in found.items()} == {n: s.value for n, s in expected.items()}
