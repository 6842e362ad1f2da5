"""Recording on a GPU: what leaves it, what is made on it, and that the training beside it does not notice."""

import copy

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from nap2.feature_maps import feature_map
from nap2.seeding import make_deterministic
from nap2.snapshots import sorting, statistics
from nap2.snapshots.layout import num_entries
from nap2.snapshots.recorder import SnapshotRecorder
from nap2.spaces import SPACES

MOST_WAITS = 3
"""Of one snapshot: whether everything was finite, the statistics, and how often something was not as it should be."""


def network(cells_per_stage=1):
    torch.manual_seed(0)
    arch_str = "|nor_conv_3x3~0|+|nor_conv_1x1~0|none~1|+|skip_connect~0|nor_conv_3x3~1|avg_pool_3x3~2|"
    return SPACES["nasbench201"].build(arch_str, num_classes=10, stem_channels=4, cells_per_stage=cells_per_stage)


def with_gradients(built):
    torch.manual_seed(1)
    images, labels = torch.randn(4, 3, 8, 8).to("cuda"), torch.arange(4).to("cuda")
    cross_entropy(built(images), labels).backward()
    return built


@pytest.mark.parametrize("cells_per_stage", [1, 3])
def test_a_snapshot_waits_three_times_whatever_the_number_of_layers(gpu, cells_per_stage):
    if gpu is None:
        pytest.skip("a profiler counts on a GPU, see below")
    recorder = SnapshotRecorder(with_gradients(network(cells_per_stage).cuda()), every=1)
    recorder.step()  # index tensors of these shapes are made once
    gpu.clear()
    recorder.step()
    result = 2 * num_entries(recorder.units) + 2 * 5  # statistics and counts of two modalities
    assert gpu.waits.total() <= MOST_WAITS, gpu.waits
    assert gpu.values <= result + 1
    assert gpu.uploads == 0


def test_a_device_without_float64_is_read_on_the_cpu(gpu, monkeypatch):
    if gpu is None:
        pytest.skip("the stand-in plays Apple's GPU")
    expected = feature_map(with_gradients(network().cuda()), "gradients").cpu()
    monkeypatch.setattr(statistics, "WITHOUT_FLOAT64", ("cuda",))
    found = feature_map(with_gradients(network().cuda()), "gradients")
    assert not found.is_cuda
    assert torch.equal(found, expected)


@pytest.mark.cuda
def test_a_snapshot_on_a_gpu_copies_no_weight():
    from torch.profiler import ProfilerActivity, profile

    recorder = SnapshotRecorder(with_gradients(network().cuda()), every=1)
    recorder.step()
    with profile(activities=[ProfilerActivity.CPU, ProfilerActivity.CUDA]) as seen:
        recorder.step()
    copies = [event for event in seen.events() if "Memcpy DtoH" in event.name]
    assert 1 <= len(copies) <= MOST_WAITS + 1


@pytest.mark.usefixtures("gpu")
@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_a_gpu_records_what_a_cpu_records(memory_format):
    on_gpu = with_gradients(network().to("cuda").to(memory_format=memory_format))
    next(on_gpu.parameters()).data[0, 0] = torch.inf  # left out, and counted
    recorder = SnapshotRecorder(on_gpu, every=1)
    recorder.step()
    on_cpu = copy.deepcopy(on_gpu).cpu()
    for parameter, original in zip(on_cpu.parameters(), on_gpu.parameters(), strict=True):
        parameter.grad = original.grad.cpu()
    expected = SnapshotRecorder(on_cpu, every=1)
    expected.step()
    torch.testing.assert_close(recorder.trajectory().values, expected.trajectory().values, rtol=1e-5, atol=1e-12)
    assert torch.equal(recorder.trajectory().counts, expected.trajectory().counts)
    for modality in ("weights", "gradients"):
        found = feature_map(on_gpu, modality)
        assert found.is_cuda
        torch.testing.assert_close(found.cpu(), feature_map(on_cpu, modality), rtol=1e-5, atol=1e-12)


@pytest.mark.usefixtures("gpu")
def test_recording_on_a_gpu_changes_nothing():
    make_deterministic()
    weights, states = [], []
    for is_watched in (True, False):
        torch.manual_seed(3)
        model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.Dropout(0.2), nn.Flatten(), nn.Linear(288, 4))
        model.to("cuda")
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, fused=True)
        recorder = SnapshotRecorder(model, every=2)
        for _ in range(4):
            optimizer.zero_grad()
            model(torch.randn(6, 3, 8, 8).to("cuda")).square().mean().backward()
            if is_watched:
                recorder.step()
            optimizer.step()
        weights.append([tensor.cpu() for tensor in model.state_dict().values()])
        states.append((torch.get_rng_state(), torch.cuda.get_rng_state("cuda:0")))
    assert all(torch.equal(one, other) for one, other in zip(*weights, strict=True))
    assert all(torch.equal(one, other) for one, other in zip(*states, strict=True))


def test_the_path_without_numpy_gives_the_same_values(monkeypatch):
    built = network().to(memory_format=torch.channels_last)
    built(torch.randn(4, 3, 8, 8)).square().sum().backward()
    with_numpy, without = SnapshotRecorder(built, every=1), SnapshotRecorder(built, every=1)
    with_numpy.step()
    monkeypatch.setattr(sorting, "_numpy", None)
    without.step()
    assert torch.equal(without.trajectory().values, with_numpy.trajectory().values)
