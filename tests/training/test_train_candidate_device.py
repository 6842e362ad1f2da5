"""Training on a device: nothing is fetched between two snapshots, and on a GPU everything that holds on a CPU."""

import pytest
import torch
from fakes_training import ARCH, DEAD_ARCH, RECIPE, FakeWriter, tiny_candidate, tiny_data
from torch.overrides import TorchFunctionMode

from nap2.snapshots.recorder import SnapshotRecorder
from nap2.training.run_state import RunState
from nap2.training.train_candidate import train_candidate

LEAVING = ("cpu", "numpy", "tolist", "item", "__bool__", "__int__", "__float__")


class HostReads(TorchFunctionMode):
    """How often Python would have to wait for a GPU."""

    def __init__(self):
        super().__init__()
        self.count = 0

    def __torch_function__(self, function, types, arguments=(), options=None):
        self.count += getattr(function, "__name__", "") in LEAVING
        return function(*arguments, **(options or {}))


def trained(folder, every, num_snapshots=1, recipe=RECIPE, arch_str=ARCH, num_train=1600, **options):
    folder.mkdir(exist_ok=True)
    writer = FakeWriter(folder)
    candidate = tiny_candidate(arch_str, every=every, recipe=recipe)
    train_candidate(candidate, tiny_data(recipe, num_train=num_train), writer, num_snapshots, **options)
    return writer


def reads_of(folder, every):
    with HostReads() as reads:
        trained(folder, every)
    return reads.count


def test_steps_between_snapshots_wait_for_nothing(tmp_path):
    """Losses and accuracies stay where they are until somebody has to look at them."""
    few, many = reads_of(tmp_path / "few", every=10), reads_of(tmp_path / "many", every=40)
    assert few > 0
    assert many - few <= 4


@pytest.fixture
def on_gpu(tmp_path):
    def train(name, **options):
        return trained(tmp_path / name, 5, num_train=44, device="cuda", **options)

    return train


@pytest.mark.cuda
@pytest.mark.parametrize("arch_str", [ARCH, DEAD_ARCH])
def test_pruning_changes_no_number_on_a_gpu(on_gpu, arch_str):
    pruned, whole = (on_gpu(str(prune), num_snapshots=2, arch_str=arch_str, prune=prune) for prune in (True, False))
    torch.testing.assert_close(pruned.trajectory.values, whole.trajectory.values, rtol=1e-5, atol=1e-7)


@pytest.mark.cuda
def test_a_stopped_run_goes_on_with_identical_results_on_a_gpu(on_gpu, tmp_path):
    whole, asked = on_gpu("whole", num_snapshots=3), []

    def stop_requested():
        asked.append(None)
        return len(asked) == 8

    writer = FakeWriter(tmp_path)
    assert not train_candidate(tiny_candidate(), tiny_data(), writer, 3, device="cuda", stop_requested=stop_requested)
    assert RunState.load(writer.state_path, tiny_candidate().id).step == 8
    assert train_candidate(tiny_candidate(), tiny_data(), writer, 3, device="cuda")
    assert torch.equal(writer.trajectory.values, whole.trajectory.values)
    assert writer.curve.train_loss == whole.curve.train_loss


@pytest.mark.cuda
def test_a_gpu_trains_without_tf32_deterministically_and_channels_last(on_gpu, monkeypatch):
    seen, original = [], SnapshotRecorder.step

    def step(recorder, *arguments):
        weight = next(p for p in recorder.model.parameters() if p.dim() == 4 and p.shape[2] > 1 and p.shape[1] > 3)
        seen.append((weight.is_cuda, weight.is_contiguous(memory_format=torch.channels_last)))
        return original(recorder, *arguments)

    monkeypatch.setattr(SnapshotRecorder, "step", step)
    on_gpu("run")
    assert set(seen) == {(True, True)}
    assert not torch.backends.cuda.matmul.allow_tf32
    assert not torch.backends.cudnn.allow_tf32
    assert torch.backends.cudnn.deterministic
    assert not torch.backends.cudnn.benchmark


@pytest.mark.cuda
def test_the_images_of_all_candidates_lie_on_the_gpu_once(on_gpu, tmp_path):
    data = tiny_data()
    first, second = (data.for_run(seed, 0, 2, "cuda").train_dataloader() for seed in (1, 2))
    assert first.images is second.images
    assert first.images.train_images.is_cuda
    assert all(images.is_cuda and labels.is_cuda for images, labels in first)
