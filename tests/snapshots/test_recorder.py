"""A recorder sees weights and gradients at the right steps, and training goes on as if it were not there."""

import copy

import pytest
import torch
from torch import nn

from nap2.errors import NetworkError
from nap2.feature_maps import feature_map
from nap2.snapshots.layers import recorded_layers, sampled_rows
from nap2.snapshots.recorder import SnapshotRecorder
from nap2.snapshots.schedule import Schedule
from nap2.snapshots.statistics import layer_statistics


def small_cnn():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1, bias=False),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.Dropout(0.2),
        nn.Conv2d(8, 120, 3, padding=1),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(120, 10),
    )


def train(model, num_steps, recorder=None, seed=1):
    torch.manual_seed(seed)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, weight_decay=5e-4)
    for _ in range(num_steps):
        inputs, targets = torch.randn(8, 1, 6, 6), torch.randint(10, (8,))
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(inputs), targets).backward()
        if recorder is not None:
            recorder.step()
        optimizer.step()
    return model


def one_backward(model):
    model(torch.randn(4, 1, 6, 6)).square().sum().backward()
    return model


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_recording_changes_nothing(memory_format):
    watched, alone = (small_cnn().to(memory_format=memory_format) for _ in range(2))
    recorder = SnapshotRecorder(watched, every=10)
    train(watched, 30, recorder)
    state_after = torch.get_rng_state()
    train(alone, 30)
    assert recorder.num_snapshots == 3
    assert torch.equal(torch.get_rng_state(), state_after)
    for (name, one), other in zip(watched.state_dict().items(), alone.state_dict().values(), strict=True):
        assert torch.equal(one, other), name


def test_a_snapshot_leaves_gradients_and_modes_alone():
    model = one_backward(small_cnn())
    model[1].eval()
    gradients = [parameter.grad.clone() for parameter in model.parameters()]
    versions = [parameter._version for parameter in model.parameters()]
    SnapshotRecorder(model, every=1).step()
    assert all(torch.equal(p.grad, g) for p, g in zip(model.parameters(), gradients, strict=True))
    assert [parameter._version for parameter in model.parameters()] == versions
    assert model.training
    assert not model[1].training


def test_a_snapshot_holds_the_statistics_of_weights_and_gradients():
    model = one_backward(small_cnn())
    recorder = SnapshotRecorder(model, every=1)
    assert recorder.step()
    trajectory = recorder.trajectory()
    layers = recorded_layers(model)
    weights, _ = layer_statistics([sampled_rows(layer.weight) for layer in layers])
    gradients, _ = layer_statistics([sampled_rows(layer.weight.grad) for layer in layers])
    torch.testing.assert_close(trajectory.values, torch.stack([weights, gradients])[None], rtol=1e-6, atol=0)
    assert trajectory.units.tolist() == [8, 120, 10]
    assert trajectory.layer_names == ("0", "4", "8")
    assert trajectory.every == 1


def test_snapshots_come_every_so_many_steps_up_to_the_limit():
    model = one_backward(small_cnn())
    recorder = SnapshotRecorder(model, every=3, limit=2)
    assert [recorder.step() for _ in range(12)] == [False, False, True] * 2 + [False] * 6
    assert (recorder.num_steps, recorder.num_snapshots, len(recorder.trajectory())) == (12, 2, 2)


def test_a_snapshot_does_not_depend_on_the_memory_layout():
    model = one_backward(small_cnn())
    other = copy.deepcopy(model).to(memory_format=torch.channels_last)
    for parameter, original in zip(other.parameters(), model.parameters(), strict=True):
        parameter.grad = original.grad.clone()
    values = []
    for network in (model, other):
        recorder = SnapshotRecorder(network, every=1)
        recorder.step()
        values.append(recorder.trajectory().values)
    assert torch.equal(*values)


def test_a_layer_without_a_gradient_keeps_its_place_with_zeros():
    model = small_cnn()
    model[4].weight.requires_grad_(False)
    recorder = SnapshotRecorder(one_backward(model), every=1)
    recorder.step()
    assert feature_map(model, "gradients")[1].abs().max() == 0
    assert feature_map(model, "gradients")[2].abs().max() > 0
    assert recorder.trajectory().values.shape[1] == 2


def test_scaled_losses_are_recorded_unscaled():
    plain, scaled = small_cnn(), small_cnn()
    inputs = torch.randn(4, 1, 6, 6)
    recorders = [SnapshotRecorder(model, every=1) for model in (plain, scaled)]
    for model, recorder, scale in zip((plain, scaled), recorders, (1.0, 1024.0), strict=True):
        model.eval()
        (model(inputs).square().sum() * scale).backward()
        recorder.step(grad_scale=scale)
    torch.testing.assert_close(recorders[0].trajectory().values, recorders[1].trajectory().values)


@pytest.mark.parametrize("scale", [0.0, -2.0, float("nan"), float("inf")])
def test_what_no_loss_can_be_multiplied_by_is_refused(scale):
    recorder = SnapshotRecorder(one_backward(small_cnn()), every=1)
    with pytest.raises(NetworkError, match="pass a finite grad_scale above 0"):
        recorder.step(grad_scale=scale)
    assert recorder.step(grad_scale=torch.tensor(2.0))


def test_a_run_continued_elsewhere_gives_the_same_trajectory():
    whole_model, first_model = small_cnn(), small_cnn()
    whole = SnapshotRecorder(whole_model, every=4)
    first = SnapshotRecorder(first_model, every=4)
    for _ in range(6):
        one_backward(whole_model)
        whole.step()
    for parameter, original in zip(first_model.parameters(), whole_model.parameters(), strict=True):
        parameter.grad = original.grad.clone()
    for _ in range(6):
        first.step()
    second = SnapshotRecorder(first_model, every=4)
    second.load_state_dict(first.state_dict())
    for recorder in (whole, second):
        recorder.step()
        recorder.step()
    assert (second.num_steps, second.num_snapshots) == (8, 2)
    assert torch.equal(second.trajectory().values[1], whole.trajectory().values[1])
    assert torch.equal(second.trajectory().values[0], first.trajectory().values[0])


def test_the_state_of_a_fresh_recorder_can_be_loaded():
    recorder = SnapshotRecorder(small_cnn())
    recorder.load_state_dict(SnapshotRecorder(small_cnn()).state_dict())
    assert (recorder.num_steps, recorder.num_snapshots) == (0, 0)


def test_the_state_of_another_network_or_interval_is_refused():
    state = SnapshotRecorder(small_cnn(), every=5).state_dict()
    with pytest.raises(NetworkError, match="3 layers every 5 steps, this recorder watches 3 layers every 4"):
        SnapshotRecorder(small_cnn(), every=4).load_state_dict(state)
    with pytest.raises(NetworkError, match="this recorder watches 1 layers"):
        SnapshotRecorder(nn.Linear(2, 2), every=5).load_state_dict(state)


def test_what_is_no_state_of_a_recorder_is_refused():
    recorder = SnapshotRecorder(one_backward(small_cnn()), every=1)
    with pytest.raises(NetworkError, match="state lacks counts, every, layer_names, num_steps, units, values; pass"):
        recorder.load_state_dict({})
    for wrong, kind in ((None, "None"), (5, "an int"), ([1], "a list")):
        with pytest.raises(NetworkError, match=f"Asked to read {kind}, no recorder's state; pass what"):
            recorder.load_state_dict(wrong)
    recorder.step()
    state = recorder.state_dict()
    for wrong in ({"values": state["values"][..., :5]}, {"counts": state["counts"][:0]}):
        with pytest.raises(NetworkError, match=r"state holds values \[1, 2, \d+\] and counts .* its units need values"):
            recorder.load_state_dict({**state, **wrong})


def test_snapshots_that_went_by_cannot_be_asked_for_later():
    model = one_backward(small_cnn())
    short = SnapshotRecorder(model, every=1, limit=2)
    for _ in range(4):
        short.step()
    with pytest.raises(NetworkError, match="holds 2 snapshots after 4 steps, of which 3 are wanted with limit=3"):
        SnapshotRecorder(model, every=1, limit=3).load_state_dict(short.state_dict())
    shorter = SnapshotRecorder(model, every=1, limit=1)
    shorter.load_state_dict(short.state_dict())
    assert torch.equal(shorter.trajectory().values, short.trajectory().values[:1])


def test_a_trajectory_without_a_snapshot_is_refused():
    recorder = SnapshotRecorder(small_cnn(), every=100)
    recorder.step()
    with pytest.raises(NetworkError, match=r"taken yet: 1 of 100 steps .*backward, for 100 steps or more"):
        recorder.trajectory()


def test_a_network_that_changes_is_refused():
    model = one_backward(small_cnn())
    recorder = SnapshotRecorder(model, every=1)
    recorder.step()
    model.append(nn.Linear(10, 10))
    with pytest.raises(NetworkError, match=r"changed while it was recorded: 3 layers .* 4 .* at step 2"):
        recorder.step()


def test_a_step_whose_snapshot_failed_is_not_counted_and_can_be_taken_again():
    model = one_backward(small_cnn())
    recorder = SnapshotRecorder(model, every=2)
    recorder.step()
    model.append(nn.Linear(10, 10))
    with pytest.raises(NetworkError, match="changed while it was recorded"):
        recorder.step()
    model.pop(-1)
    assert [recorder.step() for _ in range(3)] == [True, False, True]
    assert (recorder.num_steps, recorder.num_snapshots) == (4, 2)


def test_steps_without_any_gradient_are_pointed_out():
    recorder = SnapshotRecorder(small_cnn(), every=1)
    with pytest.warns(UserWarning, match="No parameter has a gradient at step 1"):
        assert recorder.step()


def test_the_schedule_says_what_the_recorder_does():
    schedule = Schedule(every=3, limit=2)
    assert [step for step in range(13) if schedule.is_due(step)] == [3, 6]
    assert [schedule.num_due(step) for step in (0, 2, 3, 5, 6, 99)] == [0, 0, 1, 1, 2, 2]


@pytest.mark.parametrize("arguments", [{"every": 0}, {"limit": 0}, {"every": -3}, {"every": 2.5}, {"limit": None}])
def test_an_interval_or_limit_that_counts_nothing_is_refused(arguments):
    with pytest.raises(NetworkError, match="every >= 1 and limit >= 1"):
        SnapshotRecorder(small_cnn(), **arguments)


def test_whole_numbers_of_other_libraries_count_too():
    recorder = SnapshotRecorder(small_cnn(), every=torch.tensor(3), limit=torch.tensor(2))
    assert (type(recorder.every), recorder.every, type(recorder.limit), recorder.limit) == (int, 3, int, 2)


def test_a_flat_piece_of_a_weight_is_not_taken_for_the_whole():
    model = small_cnn()
    for parameter in model.parameters():
        parameter.data = parameter.data.flatten()[:3]  # as FSDP and ZeRO leave it in each process
    with pytest.raises(NetworkError, match="is spread over several processes"):
        SnapshotRecorder(model)


def test_what_is_no_network_is_refused():
    for wrong, kind in ((small_cnn, "a function"), (3, "an int"), (nn.Linear, "a type"), (None, "None")):
        with pytest.raises(NetworkError, match=f"Asked to record {kind}, which is no torch module; give the network"):
            SnapshotRecorder(wrong)


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_networks_of_other_precisions_are_recorded_in_float32(dtype):
    model = nn.Linear(5, 4).to(dtype)
    model(torch.randn(3, 5, dtype=dtype)).sum().backward()
    recorder = SnapshotRecorder(model, every=1)
    recorder.step()
    assert recorder.trajectory().values.dtype == torch.float32


def test_the_state_is_of_one_dtype_whatever_torch_makes_by_default():
    recorder = SnapshotRecorder(nn.Linear(2, 2))
    torch.set_default_dtype(torch.float64)
    try:
        assert recorder.state_dict()["values"].dtype == torch.float32
    finally:
        torch.set_default_dtype(torch.float32)
