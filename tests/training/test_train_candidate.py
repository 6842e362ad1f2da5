import math
import os
import signal
from dataclasses import replace

import pytest
import torch
from fakes_training import ARCH, DEAD_ARCH, NONE_ARCH, RECIPE, FakeWriter, tiny_candidate, tiny_data
from torch.nn.functional import cross_entropy
from torch.utils._pytree import tree_map_only

from nap2.errors import ArchStringError, ConfigError, DivergedError, UnknownNameError
from nap2.snapshots.manifest import Candidate
from nap2.snapshots.recorder import SnapshotRecorder
from nap2.spaces import SPACES
from nap2.training import state_callback
from nap2.training.run_state import RunState
from nap2.training.train_candidate import train_candidate


def trained(folder, *args, candidate=None, data=None, num_snapshots=3, writer=None, **kwargs):
    folder.mkdir(exist_ok=True)
    writer = writer or FakeWriter(folder)
    train_candidate(candidate or tiny_candidate(), data or tiny_data(), writer, num_snapshots, **kwargs)
    return writer


def assert_same_run(ours, theirs):
    assert torch.equal(ours.trajectory.values, theirs.trajectory.values)
    assert torch.equal(ours.trajectory.counts, theirs.trajectory.counts)
    for name in ("train_loss", "snapshot_accuracy", "epoch_accuracy", "final_accuracy"):
        assert getattr(ours.curve, name) == getattr(theirs.curve, name), name


class Crash(Exception):
    """Stands for kill -9: nothing is saved on the way out."""


class CrashingData:
    """The same data, whose batches end with a crash at an absolute step."""

    def __init__(self, data, crash_step):
        self.data, self.crash_step = data, crash_step

    def __getattr__(self, name):
        return getattr(self.data, name)

    def for_run(self, seed, start_step, num_steps, device):
        run = self.data.for_run(seed, start_step, num_steps, device)
        batches = run.train_dataloader()

        class Batches:
            def __len__(_):
                return len(batches)

            def __iter__(_):
                for step, batch in enumerate(batches, start_step):
                    if step == self.crash_step:
                        raise Crash
                    yield batch

        run.train_dataloader = Batches
        return run


def test_a_candidate_is_trained_like_a_plain_torch_loop(tmp_path):
    candidate, data = tiny_candidate(), tiny_data()
    run = trained(tmp_path, candidate=candidate, data=data, prune=False)
    torch.manual_seed(candidate.seed)
    network = SPACES["nasbench201"].build(ARCH, **candidate.setting.skeleton).to(memory_format=torch.channels_last)
    optimizer = RECIPE.build_optimizer(network.parameters())
    recorder, losses = SnapshotRecorder(network, every=5), []
    batches = data.for_run(candidate.seed, 0, 15, "cpu")
    for step, (images, labels) in enumerate(batches.train_dataloader()):
        for group in optimizer.param_groups:
            group["lr"] = 0.05 * (1 + math.cos(math.pi * (step // 6) / 4)) / 2
        optimizer.zero_grad()
        loss = cross_entropy(network(images), labels)
        loss.backward()
        recorder.step()
        optimizer.step()
        losses.append(loss.item())
    assert torch.equal(run.trajectory.values, recorder.trajectory().values)
    assert run.trajectory.layer_names == recorder.trajectory().layer_names
    assert run.curve.train_loss == losses


def test_validation_accuracy_at_a_snapshot_is_that_of_the_weights_it_shows(tmp_path):
    candidate, data = tiny_candidate(), tiny_data()
    run = trained(tmp_path, candidate=candidate, data=data, num_snapshots=1)
    torch.manual_seed(candidate.seed)
    network = SPACES["nasbench201"].build(ARCH, **candidate.setting.skeleton).to(memory_format=torch.channels_last)
    optimizer = RECIPE.build_optimizer(network.parameters())
    for images, labels in data.for_run(candidate.seed, 0, 5, "cpu").train_dataloader():
        optimizer.zero_grad()
        cross_entropy(network(images), labels).backward()
        before = {name: value.clone() for name, value in network.state_dict().items()}
        optimizer.step()
    network.load_state_dict(before)
    network.eval()
    images, labels = next(iter(data.for_run(4, 0, 0, "cpu").val_dataloader()))
    assert run.curve.snapshot_accuracy == [(network(images).argmax(1) == labels).double().mean().item()]


def test_a_network_that_has_nothing_to_prune_is_trained_as_it_is(tmp_path, monkeypatch):
    def plain(arch_str, num_classes, **sizes):
        return torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(192, num_classes))

    space = replace(SPACES["nasbench201"], build=plain)
    monkeypatch.setattr("nap2.training.train_candidate.SPACES", {"nasbench201": space})
    assert trained(tmp_path, prune=True).trajectory.layer_names == ("1",)


@pytest.mark.parametrize("arch_str", [ARCH, DEAD_ARCH, NONE_ARCH])
def test_pruned_training_equals_unpruned_training(tmp_path, arch_str):
    candidate = tiny_candidate(arch_str)
    pruned = trained(tmp_path, candidate=candidate, prune=True)
    unpruned = trained(tmp_path, candidate=candidate, prune=False)
    torch.testing.assert_close(pruned.trajectory.values, unpruned.trajectory.values, rtol=0, atol=0)
    assert_same_run(pruned, unpruned)


@pytest.mark.parametrize("crash_step", [3, 5, 14])
def test_a_killed_run_goes_on_from_its_last_snapshot_with_identical_results(tmp_path, crash_step):
    whole = trained(tmp_path / "whole", num_snapshots=3)
    writer = FakeWriter(tmp_path)
    with pytest.raises(Crash):
        trained(tmp_path, data=CrashingData(tiny_data(), crash_step), writer=writer)
    state = RunState.load(writer.state_path, tiny_candidate().id)
    assert state.step == crash_step // 5 * 5
    assert_same_run(trained(tmp_path, data=CrashingData(tiny_data(), crash_step=state.step - 1), writer=writer), whole)


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_a_state_that_lies_otherwise_in_memory_is_gone_on_from_with_identical_results(tmp_path, optimizer):
    """As on a GPU in float32, and not channels-last as on a CPU: fused optimizers would mix up weights and momentum."""
    candidate = tiny_candidate(recipe=replace(RECIPE, optimizer=optimizer))
    whole, writer = trained(tmp_path / "whole", candidate=candidate), FakeWriter(tmp_path)
    with pytest.raises(Crash):
        trained(tmp_path, candidate=candidate, data=CrashingData(tiny_data(), 8), writer=writer)
    state = RunState.load(writer.state_path, candidate.id)
    assert state.step == 5
    state.network, state.optimizer = tree_map_only(
        torch.Tensor, torch.Tensor.contiguous, (state.network, state.optimizer)
    )
    state.save(writer.state_path)
    assert_same_run(trained(tmp_path, candidate=candidate, writer=writer), whole)


@pytest.mark.parametrize(("every_s", "kept_step"), [(0.0, 3), (60.0, 0)])
def test_a_run_killed_before_its_first_snapshot_loses_what_came_after_the_last_save(
    tmp_path, monkeypatch, every_s, kept_step
):
    monkeypatch.setattr(state_callback, "SAVE_EVERY_S", every_s)
    whole, writer = trained(tmp_path / "whole"), FakeWriter(tmp_path)
    with pytest.raises(Crash):
        trained(tmp_path, data=CrashingData(tiny_data(), 3), writer=writer)
    assert RunState.load(writer.state_path, tiny_candidate().id).step == kept_step
    assert_same_run(trained(tmp_path, writer=writer), whole)


def test_a_run_that_is_asked_to_stop_saves_and_goes_on_with_identical_results(tmp_path):
    whole, stop_step = trained(tmp_path / "whole"), 8
    writer, asked = FakeWriter(tmp_path), []

    def stop_requested():
        asked.append(None)
        return len(asked) >= stop_step

    assert not train_candidate(tiny_candidate(), tiny_data(), writer, 3, stop_requested=stop_requested)
    assert writer.trajectory is None
    assert RunState.load(writer.state_path, tiny_candidate().id).step == stop_step
    assert train_candidate(tiny_candidate(), tiny_data(), writer, 3, stop_requested=lambda: False)
    assert_same_run(writer, whole)


def test_a_run_stopped_after_every_step_still_arrives(tmp_path):
    whole = trained(tmp_path / "whole", num_snapshots=2)
    writer = FakeWriter(tmp_path)
    calls = 1
    while not train_candidate(tiny_candidate(), tiny_data(), writer, 2, stop_requested=lambda: True):
        calls += 1
    assert calls == 10
    assert_same_run(writer, whole)


def test_to_the_end_trains_the_whole_recipe_and_measures_all_test_images(tmp_path):
    run = trained(tmp_path, num_snapshots=2, to_the_end=True)
    assert len(run.trajectory) == 2
    assert len(run.curve.train_loss) == 24
    assert len(run.curve.epoch_accuracy) == 4
    assert run.curve.final_accuracy == run.curve.epoch_accuracy[-1]  # the 20 test images are the validation images too
    assert run.curve.final_accuracy > 0.6
    short = trained(tmp_path / "short", num_snapshots=2)
    assert short.curve.train_loss == run.curve.train_loss[:10]
    assert short.curve.final_accuracy is None


def test_to_the_end_resumes_between_snapshots(tmp_path, monkeypatch):
    monkeypatch.setattr(state_callback, "SAVE_EVERY_S", 0.0)
    whole = trained(tmp_path / "whole", num_snapshots=1, to_the_end=True)
    writer = FakeWriter(tmp_path)
    with pytest.raises(Crash):
        trained(tmp_path, data=CrashingData(tiny_data(), 20), writer=writer, num_snapshots=1, to_the_end=True)
    assert RunState.load(writer.state_path, tiny_candidate().id).step == 20
    assert_same_run(trained(tmp_path, writer=writer, num_snapshots=1, to_the_end=True), whole)


def test_a_shorter_request_cuts_what_an_interrupted_one_left_and_a_longer_one_goes_on_from_it_all_the_same(tmp_path):
    writer = FakeWriter(tmp_path)
    with pytest.raises(Crash):
        trained(tmp_path, data=CrashingData(tiny_data(), 12), writer=writer, num_snapshots=3)
    short = trained(tmp_path, data=CrashingData(tiny_data(), crash_step=0), writer=writer, num_snapshots=1)
    assert_same_run(short, trained(tmp_path / "short", num_snapshots=1))
    longer = trained(tmp_path, data=CrashingData(tiny_data(), crash_step=9), writer=writer, num_snapshots=4)
    assert_same_run(longer, trained(tmp_path / "longer", num_snapshots=4))


@pytest.mark.parametrize("misfit", ["snapshots", "network"])
def test_a_kept_state_that_does_not_fit_is_dropped_and_the_run_starts_again(tmp_path, monkeypatch, misfit):
    monkeypatch.setattr(state_callback, "SAVE_EVERY_S", 0.0)
    writer, notes = FakeWriter(tmp_path), []
    with pytest.raises(Crash):
        trained(tmp_path, data=CrashingData(tiny_data(), 20), writer=writer, num_snapshots=1, to_the_end=True)
    monkeypatch.undo()
    asked = 3
    if misfit == "network":
        state = RunState.load(writer.state_path, tiny_candidate().id)
        state.network.popitem()
        state.save(writer.state_path)
        asked = 1
    with pytest.raises(Crash):
        trained(tmp_path, data=CrashingData(tiny_data(), 2), writer=writer, num_snapshots=asked, note=notes.append)
    (line,) = notes
    reason = {"snapshots": "holds 1 snapshots after 20 steps, of which 3", "network": "Missing key"}[misfit]
    assert line.startswith(f"Candidate {tiny_candidate().id} is trained from the start again, ")
    assert reason in line
    assert "\n" not in line
    assert not writer.state_path.exists()
    run = trained(tmp_path, writer=writer, num_snapshots=asked, note=notes.append)
    assert_same_run(run, trained(tmp_path / "fresh", num_snapshots=asked))
    assert len(notes) == 1


def test_a_state_that_fits_is_gone_on_from_without_a_word(tmp_path):
    writer, notes = FakeWriter(tmp_path), []
    for crash_step in (8, 12):
        with pytest.raises(Crash):
            trained(tmp_path, data=CrashingData(tiny_data(), crash_step), writer=writer, note=notes.append)
    trained(tmp_path, writer=writer, note=notes.append)
    assert notes == []


@pytest.mark.parametrize("damage", ["cut", "empty", "other"])
def test_a_state_that_cannot_be_used_means_a_fresh_start(tmp_path, damage):
    writer, notes = FakeWriter(tmp_path), []
    with pytest.raises(Crash):
        trained(tmp_path, data=CrashingData(tiny_data(), 12), writer=writer)
    content = writer.state_path.read_bytes()
    candidate = tiny_candidate(seed=5 if damage == "other" else 4)
    writer.state_path.write_bytes({"cut": content[: len(content) // 2], "empty": b"", "other": content}[damage])
    run = trained(tmp_path, candidate=candidate, writer=writer, note=notes.append)
    assert_same_run(run, trained(tmp_path / "fresh", candidate=candidate))
    assert [line.partition(" is trained from the start again: ")[0] for line in notes] == [f"Candidate {candidate.id}"]


def test_the_images_and_weights_of_a_run_depend_on_its_seed(tmp_path):
    one, two = (trained(tmp_path, candidate=tiny_candidate(seed=seed), num_snapshots=1) for seed in (4, 5))
    assert not torch.equal(one.trajectory.values, two.trajectory.values)
    assert_same_run(one, trained(tmp_path, candidate=tiny_candidate(seed=4), num_snapshots=1))


def test_training_leaves_the_random_state_alone(tmp_path):
    torch.manual_seed(1)
    expected = torch.rand(3)
    torch.manual_seed(1)
    trained(tmp_path, num_snapshots=1)
    assert torch.equal(torch.rand(3), expected)


def test_seconds_grow_with_the_snapshots_and_across_a_restart(tmp_path):
    writer = FakeWriter(tmp_path)
    with pytest.raises(Crash):
        trained(tmp_path, data=CrashingData(tiny_data(), 12), writer=writer)
    run = trained(tmp_path, writer=writer)
    seconds = run.curve.snapshot_seconds
    assert len(seconds) == 3
    assert 0 < seconds[0] < seconds[1] < seconds[2]


def test_a_diverging_run_is_refused_with_its_first_bad_step(tmp_path):
    candidate = tiny_candidate(recipe=replace(RECIPE, lr=1e30))
    with pytest.raises(DivergedError, match=r"mini-batch [1-9].* is not finite") as caught:
        trained(tmp_path, candidate=candidate)
    assert 1 <= caught.value.step < 15


def test_sigterm_saves_the_state_and_ends_the_process(tmp_path):
    writer, asked = FakeWriter(tmp_path), []

    def stop_requested():
        asked.append(None)
        if len(asked) == 7:
            os.kill(os.getpid(), signal.SIGTERM)
        return False

    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(SystemExit):
        train_candidate(tiny_candidate(), tiny_data(), writer, 3, stop_requested=stop_requested)
    assert signal.getsignal(signal.SIGTERM) == before
    assert RunState.load(writer.state_path, tiny_candidate().id).step == 7
    assert_same_run(trained(tmp_path, writer=writer), trained(tmp_path / "whole"))


def test_sigterm_is_a_polite_stop_where_somebody_listens(tmp_path):
    writer, received, asked = FakeWriter(tmp_path), [], []

    def stop_requested():
        asked.append(None)
        if len(asked) == 7:
            os.kill(os.getpid(), signal.SIGTERM)
        return bool(received)

    before = signal.signal(signal.SIGTERM, lambda *_: received.append(None))
    try:
        assert not train_candidate(tiny_candidate(), tiny_data(), writer, 3, stop_requested=stop_requested)
    finally:
        signal.signal(signal.SIGTERM, before)
    assert writer.state_path.exists()


def test_ctrl_c_stays_a_keyboard_interrupt(tmp_path):
    def stop_requested():
        raise KeyboardInterrupt

    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        train_candidate(tiny_candidate(), tiny_data(), FakeWriter(tmp_path), 1, stop_requested=stop_requested)
    assert signal.getsignal(signal.SIGINT) == before


def test_training_says_nothing_and_writes_nothing_but_its_state(tmp_path, capfd, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(Crash):
        trained(tmp_path / "w", data=CrashingData(tiny_data(), 7))
    assert capfd.readouterr() == ("", "")
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["state.pt"]


def test_a_request_that_does_not_fit_is_refused_before_any_work(tmp_path):
    candidate, setting = tiny_candidate(), tiny_candidate().setting
    with pytest.raises(ConfigError, match=r"5 snapshots every 5 steps do not fit into the 24 steps.*take 1 to 4"):
        trained(tmp_path, num_snapshots=5)
    with pytest.raises(ConfigError, match="take 1 to 4"):
        trained(tmp_path, num_snapshots=0)
    with pytest.raises(ConfigError, match=r"3 snapshots every 25 steps .*; lower snapshot.every to at most 8"):
        trained(tmp_path, candidate=Candidate(replace(setting, every=25), ARCH, 4))
    other = {
        "asks for 'mnist' as the dataset, but the images have 'tiny'": replace(setting, dataset="mnist"),
        "asks for 16 as the batch size": replace(setting, recipe=replace(RECIPE, batch_size=16).as_dict()),
        "asks for 10 as the number of classes": replace(setting, skeleton={**setting.skeleton, "num_classes": 10}),
    }
    for message, wrong in other.items():
        with pytest.raises(ConfigError, match=message):
            trained(tmp_path, candidate=Candidate(wrong, ARCH, 4))
    with pytest.raises(UnknownNameError, match="Did you mean 'nasbench201'"):
        trained(tmp_path, candidate=Candidate(replace(setting, space="nasbench202"), ARCH, 4))
    with pytest.raises(ArchStringError):
        trained(tmp_path, candidate=replace(candidate, arch_str="|nor_conv_5x5~0|"))
    assert not list(tmp_path.iterdir())
