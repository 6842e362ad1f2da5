"""What leaves the device that holds a network; a mode that sees every call stands in for the GPU."""

import pytest
import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from nap2.snapshots import sorting
from nap2.snapshots.layout import num_entries
from nap2.snapshots.recorder import SnapshotRecorder
from nap2.spaces import SPACES

LEAVING = ("cpu", "numpy", "tolist", "item", "__array__", "__bool__", "__int__", "__float__", "__index__")


class HostReads(TorchFunctionMode):
    """Counts the values that Python, NumPy or the CPU would have to fetch from a GPU."""

    def __init__(self):
        super().__init__()
        self.num_values, self.calls = 0, []

    def __torch_function__(self, function, types, arguments=(), options=None):
        name, options = getattr(function, "__name__", ""), options or {}
        to_host = name == "to" and "cpu" in [a for a in (*arguments[1:], *options.values()) if isinstance(a, str)]
        if name in LEAVING or to_host:
            self.num_values += arguments[0].numel()
            self.calls.append(name)
        return function(*arguments, **options)


@pytest.fixture
def like_a_gpu(monkeypatch):
    """The path of a device on which NumPy cannot sort."""
    monkeypatch.setattr(sorting, "_numpy", None)


def network():
    torch.manual_seed(0)
    arch_str = "|nor_conv_3x3~0|+|nor_conv_1x1~0|none~1|+|skip_connect~0|nor_conv_3x3~1|avg_pool_3x3~2|"
    built = SPACES["nasbench201"].build(arch_str, num_classes=10, stem_channels=16, cells_per_stage=1)
    built.to(memory_format=torch.channels_last)
    built(torch.randn(4, 3, 8, 8)).square().sum().backward()
    return built


@pytest.mark.usefixtures("like_a_gpu")
def test_a_snapshot_takes_only_its_result_off_the_device():
    recorder = SnapshotRecorder(network(), every=1)
    recorder.step()  # index tensors of these shapes are made once
    with HostReads() as reads:
        recorder.step()
    result = 2 * num_entries(recorder.units) + 2 * 5  # statistics and counts of two modalities
    assert reads.num_values <= result + 1, reads.calls  # and whether everything was finite
    assert reads.num_values < sum(p.numel() for p in recorder.model.parameters()) / 4


@pytest.mark.usefixtures("like_a_gpu")
def test_the_path_without_numpy_gives_the_same_values(monkeypatch):
    built = network()
    without = SnapshotRecorder(built, every=1)
    without.step()
    monkeypatch.undo()
    with_numpy = SnapshotRecorder(built, every=1)
    with_numpy.step()
    assert torch.equal(without.trajectory().values, with_numpy.trajectory().values)


def test_the_mode_sees_a_weight_that_leaves():
    weight = nn.Linear(4, 3).weight
    with HostReads() as reads:
        weight.detach().cpu()
        weight.detach().numpy()
        weight.sum().item()
        weight.to("cpu")
    assert reads.num_values == 12 + 12 + 1 + 12


@pytest.mark.cuda
def test_a_snapshot_on_a_gpu_copies_no_weight():
    from torch.profiler import ProfilerActivity, profile

    built = network().cuda()
    built(torch.randn(4, 3, 8, 8, device="cuda")).square().sum().backward()
    recorder = SnapshotRecorder(built, every=1)
    recorder.step()
    with profile(activities=[ProfilerActivity.CPU, ProfilerActivity.CUDA]) as seen:
        recorder.step()
    copies = [event for event in seen.events() if "Memcpy DtoH" in event.name]
    assert 1 <= len(copies) <= 4  # statistics, counts, whether all were finite
