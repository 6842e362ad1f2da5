"""Training on a GPU (see `gpu` in tests/conftest.py): nothing waits between two snapshots, and what a CPU promises."""

from dataclasses import replace

import pytest
import torch
from fakes_training import ARCH, DEAD_ARCH, RECIPE, FakeWriter, tiny_candidate, tiny_data

from nap2.snapshots.recorder import SnapshotRecorder
from nap2.training.run_state import RunState
from nap2.training.train_candidate import train_candidate

pytestmark = pytest.mark.slow


def trained(folder, every, num_snapshots=1, recipe=RECIPE, arch_str=ARCH, num_train=1600, **options):
    folder.mkdir(exist_ok=True)
    writer = FakeWriter(folder)
    candidate = tiny_candidate(arch_str, every=every, recipe=recipe)
    train_candidate(candidate, tiny_data(recipe, num_train=num_train), writer, num_snapshots, **options)
    return writer


def test_steps_between_snapshots_wait_for_nothing(gpu, tmp_path):
    """Losses and accuracies stay where they are until somebody has to look at them."""
    if gpu is None:
        pytest.skip("waits are counted on the stand-in")
    waits = []
    for every in (3, 9):
        gpu.clear()
        trained(tmp_path / str(every), every, device="cuda")
        waits.append(gpu.waits.total())
        assert not gpu.unordered, "sums whose last bits a GPU does not reproduce"
    assert waits[0] > 0
    assert waits[0] == waits[1]


@pytest.fixture
def on_gpu(gpu, tmp_path):
    def train(name, **options):
        return trained(tmp_path / name, 5, num_train=44, device="cuda", **options)

    return train


@pytest.mark.parametrize("arch_str", [ARCH, DEAD_ARCH])
def test_pruning_changes_no_number_on_a_gpu(on_gpu, arch_str):
    pruned, whole = (on_gpu(str(prune), num_snapshots=2, arch_str=arch_str, prune=prune) for prune in (True, False))
    torch.testing.assert_close(pruned.trajectory.values, whole.trajectory.values, rtol=1e-5, atol=1e-7)


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


@pytest.mark.parametrize("precision", ["float32", "bf16"])
def test_a_gpu_trains_without_tf32_deterministically_and_in_the_layout_that_suits_it(on_gpu, monkeypatch, precision):
    seen, original = [], SnapshotRecorder.step

    def step(recorder, *arguments):
        weight = next(p for p in recorder.model.parameters() if p.dim() == 4 and p.shape[2] > 1 and p.shape[1] > 3)
        seen.append((weight.is_cuda, weight.is_contiguous(memory_format=torch.channels_last)))
        return original(recorder, *arguments)

    monkeypatch.setattr(SnapshotRecorder, "step", step)
    on_gpu("run", recipe=replace(RECIPE, precision=precision))
    assert set(seen) == {(True, precision == "bf16")}
    assert not torch.backends.cuda.matmul.allow_tf32
    assert not torch.backends.cudnn.allow_tf32
    assert torch.backends.cudnn.deterministic
    assert not torch.backends.cudnn.benchmark


def test_the_images_of_all_candidates_lie_on_the_gpu_once(gpu):
    data = tiny_data()
    first, second = (data.for_run(seed, 0, 2, "cuda").train_dataloader() for seed in (1, 2))
    assert first.images is second.images
    assert first.images.train_images.is_cuda
    assert all(images.is_cuda and labels.is_cuda for images, labels in first)


def test_a_gpu_trains_what_a_cpu_trains(on_gpu, tmp_path):
    on_cpu, found = trained(tmp_path / "cpu", 5, num_train=44), on_gpu("gpu")
    losses = (torch.tensor(writer.curve.train_loss) for writer in (found, on_cpu))
    torch.testing.assert_close(*losses, rtol=1e-2, atol=1e-3)
    assert (on_cpu.device, found.device) == ("cpu", torch.cuda.get_device_name())
    again = on_gpu("again")
    assert torch.equal(again.trajectory.values, found.trajectory.values)
    assert again.curve.train_loss == found.curve.train_loss


def test_a_whole_recipe_ends_with_its_accuracy_on_a_gpu(on_gpu):
    writer = on_gpu("whole", recipe=replace(RECIPE, epochs=1), to_the_end=True)
    assert 0 <= writer.curve.final_accuracy <= 1
    assert len(writer.curve.epoch_accuracy) == 1
