"""Networks whose copy is not a network of its own: torch copies no function, and no parameter that is yet to come."""

import pytest
import torch
from fakes_predictor import random_predictor
from torch import nn

from nap2.inference import Predictor

DATA = [(torch.randn(6, 5, generator=torch.Generator().manual_seed(0)), torch.arange(6) % 3)]


@pytest.fixture(scope="module")
def ranker() -> Predictor:
    return random_predictor(every=2, num_snapshots=3)


def layers() -> nn.Module:
    return nn.Sequential(nn.Linear(5, 5), nn.BatchNorm1d(5), nn.Tanh(), nn.Linear(5, 3))


def replaced() -> nn.Module:
    model = layers()
    whole = model.forward
    model.forward = lambda x: 2 * whole(x)
    return model


def compiled() -> nn.Module:
    model = layers()
    model.forward = torch.compile(model.forward, backend="eager")
    return model


class InPart(nn.Module):
    """One of its layers runs in a lambda, the others as they should."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.norm, self.last = nn.Linear(5, 5), nn.BatchNorm1d(5), nn.Linear(5, 3)
        self.act = lambda x: self.norm(self.first(x)).tanh()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.last(self.act(x))


@pytest.mark.parametrize("build", [replaced, compiled, InPart])
def test_a_forward_that_runs_the_original_is_refused_and_leaves_that_as_it_was(ranker: Predictor, build) -> None:
    model = build()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    (place,) = ranker.rank({"net": model}, DATA, 4)
    assert place.predicted_accuracy is None
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    assert place.failure.endswith("use torch.compile(model), or write it as a Module's forward")
    assert all(parameter.grad is None for parameter in model.parameters())
    model(DATA[0][0]).sum().backward()  # nothing stays in the way of its own training
    assert all(parameter.grad is not None for parameter in model.parameters())


class MadeInForward(nn.Module):
    """Its last layer is made when the first inputs show how many values there are."""

    def __init__(self, kind: type[nn.Module]) -> None:
        super().__init__()
        self.first, self.kind, self.norm, self.last = nn.Linear(5, 4), kind, None, nn.Linear(4, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.first(x)
        if self.norm is None:
            self.norm = self.kind(x.shape[1])
        return self.last(self.norm(x))


@pytest.mark.parametrize("kind", [nn.BatchNorm1d, lambda size: nn.Linear(size, size)])
def test_parameters_that_no_optimizer_knows_are_refused_at_once(ranker: Predictor, kind) -> None:
    model = MadeInForward(kind)
    (place,) = ranker.rank({"net": model}, DATA, 4)
    assert place.query_batches == 0
    assert "its forward pass made parameters at mini-batch 1, which no optimizer moves" in place.failure
    model(DATA[0][0])  # as the line says
    assert ranker.rank({"net": model}, DATA, 4)[0].failure is None
