"""Wrapped, compiled, mixed-precision and accumulating training loops are recorded as the plain one is."""

from collections.abc import Callable, Iterator

import pytest
import torch
from lightning.fabric import Fabric
from torch import nn
from torch.distributed.algorithms._checkpoint.checkpoint_wrapper import checkpoint_wrapper

from nap2.snapshots.layers import recorded_layers, unwrapped
from nap2.snapshots.recorder import SnapshotRecorder
from nap2.snapshots.trajectory import Trajectory


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Sequential(nn.Flatten(), nn.Linear(64, 3)))


def batches(count: int = 4) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    generator = torch.Generator().manual_seed(1)
    for _ in range(count):
        yield torch.randn(6, 1, 6, 6, generator=generator), torch.arange(6) % 3


def trained(model: nn.Module, watched: nn.Module | None = None) -> tuple[Trajectory, dict[str, torch.Tensor]]:
    """Train, recording `watched` or the model itself; the trajectory and the bare network's final weights."""
    recorder = SnapshotRecorder(model if watched is None else watched, every=2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for inputs, targets in batches():
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(inputs), targets).backward()
        recorder.step()
        optimizer.step()
    return recorder.trajectory(), unwrapped(model).state_dict()


class Holder(nn.Module):
    """Somebody's module, whose network is compiled inside."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.body = inner

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.body(x)


@pytest.fixture
def process_group() -> Iterator[None]:
    torch.distributed.init_process_group("gloo", store=torch.distributed.HashStore(), rank=0, world_size=1)
    yield
    torch.distributed.destroy_process_group()


def eager(model: nn.Module) -> nn.Module:
    return torch.compile(model, backend="eager")


WRAPPERS: dict[str, Callable[[nn.Module], nn.Module]] = {
    "DataParallel": nn.DataParallel,
    "compiled": eager,
    "compiled DataParallel": lambda model: eager(nn.DataParallel(model)),
    "DataParallel of compiled": lambda model: nn.DataParallel(eager(model)),
    "DistributedDataParallel": nn.parallel.DistributedDataParallel,
    "checkpointed": checkpoint_wrapper,
    "Fabric": lambda model: Fabric(accelerator="cpu", devices=1).setup_module(model),
}


@pytest.mark.parametrize("name", WRAPPERS)
def test_a_wrapped_network_gives_the_trajectory_of_the_bare_one(name: str, process_group: None) -> None:
    expected, weights = trained(network())
    found, wrapped_weights = trained(WRAPPERS[name](network()))
    assert found.layer_names == expected.layer_names == ("0", "2.1")
    assert torch.equal(found.values, expected.values)
    assert all(torch.equal(wrapped_weights[key], weights[key]) for key in weights)


def test_a_network_that_is_wrapped_inside_keeps_the_names_of_its_own_modules() -> None:
    plain, held = Holder(network()), Holder(eager(nn.DataParallel(network())))
    names = [layer.name for layer in recorded_layers(held)]
    assert names == [layer.name for layer in recorded_layers(plain)] == ["body.0", "body.2.1"]
    assert torch.equal(trained(held)[0].values, trained(plain)[0].values)


def test_a_module_that_is_merely_called_module_keeps_its_name() -> None:
    model = nn.Sequential()
    model.add_module("module", nn.Sequential(nn.Linear(2, 2)))
    assert [layer.name for layer in recorded_layers(model)] == ["module.0"]
    assert unwrapped(model) is model


def test_unwrapping_looks_through_every_wrapper() -> None:
    model = network()
    assert unwrapped(nn.DataParallel(eager(nn.DataParallel(model)))) is model
    assert unwrapped(model) is model


def test_gradients_scaled_for_mixed_precision_are_recorded_at_their_own_scale() -> None:
    """Autocast with a loss scale of 1024, against the same loop without one: only the rounding differs."""
    trajectories = []
    for scale, unscale in ((1.0, False), (1024.0, False), (1024.0, True)):
        model = network()
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        scaler = torch.amp.GradScaler("cpu", init_scale=scale, growth_interval=1000)
        recorder = SnapshotRecorder(model, every=2)
        for inputs, targets in batches():
            optimizer.zero_grad()
            with torch.autocast("cpu", dtype=torch.bfloat16):
                loss = nn.functional.cross_entropy(model(inputs), targets)
            scaler.scale(loss).backward()
            if unscale:
                scaler.unscale_(optimizer)
                recorder.step()
            else:
                recorder.step(grad_scale=scaler.get_scale())
            scaler.step(optimizer)
            scaler.update()
        trajectories.append(recorder.trajectory().values)
    plain, scaled, unscaled = trajectories
    torch.testing.assert_close(scaled, plain, rtol=1e-3, atol=1e-6)
    torch.testing.assert_close(unscaled, plain, rtol=1e-3, atol=1e-6)
    assert float(plain[:, 1].abs().max()) < 100  # not a thousand times too large


def test_accumulated_gradients_are_those_of_the_whole_batch() -> None:
    whole, _ = trained(network())
    model = network()
    recorder = SnapshotRecorder(model, every=2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for inputs, targets in batches():
        optimizer.zero_grad()
        for part, labels in zip(inputs.split(2), targets.split(2), strict=True):
            (nn.functional.cross_entropy(model(part), labels) / 3).backward()
        recorder.step()
        optimizer.step()
    torch.testing.assert_close(recorder.trajectory().values, whole.values, rtol=1e-3, atol=1e-5)


def test_frozen_layers_keep_their_rows_and_their_weights() -> None:
    model = network()
    model[0].requires_grad_(False)
    before = model[0].weight.clone()
    trajectory, _ = trained(model)
    assert torch.equal(model[0].weight, before)
    assert trajectory.units.tolist() == trained(network())[0].units.tolist()
    rows = 11 * (1 + 4) + 5 * (1 + 4)  # scalar statistics and quantiles of the layer and its 4 units
    assert float(trajectory.values[:, 1, :rows].abs().max()) == 0
    assert float(trajectory.values[:, 1, rows:].abs().max()) > 0
