"""A recorder that is told of every accumulated mini-batch says so, and one that is told of optimizer steps does not."""

import warnings

import pytest
import torch
from torch import nn

from nap2.snapshots.recorder import SnapshotRecorder


class IntoData:
    """An optimizer as some are written: torch counts no new version of what is changed through `.data`."""

    def __init__(self, parameters) -> None:
        self.parameters = list(parameters)

    def step(self) -> None:
        for parameter in self.parameters:
            if parameter.grad is not None:
                parameter.data.add_(parameter.grad, alpha=-0.1)


OPTIMIZERS = {
    "one by one": lambda parameters: torch.optim.SGD(parameters, lr=0.1, foreach=False),
    "many at once": lambda parameters: torch.optim.AdamW(parameters, foreach=True),
    "fused": lambda parameters: torch.optim.SGD(parameters, lr=0.1, momentum=0.9, fused=True),
    "into data": IntoData,
}


def record(optimizer: str, accumulated: int, every: int = 4, told: int = 1, frozen: bool = False) -> None:
    """Eight mini-batches; the recorder is told of every `told`-th, and of `accumulated` the optimizer makes a step."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(5, 4), nn.Tanh(), nn.Linear(4, 3))
    model[0].requires_grad_(not frozen)
    recorder, moving = SnapshotRecorder(model, every=every), OPTIMIZERS[optimizer](model.parameters())
    for place in range(1, 9):
        nn.functional.cross_entropy(model(torch.randn(6, 5)), torch.arange(6) % 3).backward()
        if place % told == 0:
            recorder.step()
        if place % accumulated == 0:
            moving.step()
            model.zero_grad()
    assert recorder.num_snapshots == 8 // told // every


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("accumulated", [2, 4])
def test_a_step_for_each_of_several_accumulated_mini_batches_is_warned_of(optimizer: str, accumulated: int) -> None:
    with pytest.warns(
        UserWarning, match="No weight has moved between steps [37] and [48] .* once per optimizer step"
    ) as seen:
        record(optimizer, accumulated)
    assert len(seen) == 2  # one for each snapshot


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("frozen", [False, True])
def test_one_step_per_optimizer_step_is_not(optimizer: str, frozen: bool) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        record(optimizer, accumulated=1, frozen=frozen)
        record(optimizer, accumulated=2, told=2, frozen=frozen)


def of_two_steps(recorder: SnapshotRecorder, optimizer: torch.optim.Optimizer, scaler: torch.amp.GradScaler) -> None:
    """Two optimizer steps as a loop makes them; the recorder, which looks at every second one, may not warn."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for _ in range(2):
            loss = nn.functional.cross_entropy(recorder.model(torch.full((6, 5), 99.0)), torch.arange(6) % 3)
            optimizer.zero_grad()
            scaler.scale(loss).backward()
            scaler.unscale_(optimizer)
            recorder.step()
            scaler.step(optimizer)
            scaler.update()
    assert recorder.num_snapshots == 1


@pytest.mark.parametrize(("scale", "lr"), [(2.0**127, 0.1), (1.0, 0.0)], ids=["overflow", "rate of 0"])
def test_a_step_that_moved_nothing_is_still_a_step(scale: float, lr: float) -> None:
    """A scaler leaves out the step of a gradient that overflows; a warm-up begins at a rate of 0."""
    model = nn.Linear(5, 3)
    nn.init.constant_(model.weight, 1.0)
    before = model.weight.clone()
    optimizer = torch.optim.SGD(model.parameters(), lr=lr, fused=True)
    of_two_steps(SnapshotRecorder(model, every=2), optimizer, torch.amp.GradScaler("cpu", init_scale=scale))
    assert torch.equal(model.weight, before)


def test_a_weight_that_is_sparse_is_no_hindrance() -> None:
    model = nn.Linear(5, 3)
    model.register_parameter("mixed", nn.Parameter(torch.eye(3).to_sparse()))
    recorder = SnapshotRecorder(model, every=2)
    for _ in range(2):
        torch.sparse.mm(model.mixed, model(torch.ones(3, 5))).sum().backward()
        recorder.step()
        model.zero_grad()
    assert recorder.num_snapshots == 1
