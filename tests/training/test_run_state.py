import errno
import os
import signal
from pathlib import Path

import pytest
import torch

from nap2.errors import StoreError
from nap2.snapshots.claims import claimed
from nap2.snapshots.curve import Curve
from nap2.training.run_state import RunState, random_state, set_random_state


def state(step=7):
    momentum = {"state": {0: {"momentum_buffer": torch.ones(3)}}, "param_groups": [{"lr": 0.1, "params": [0]}]}
    return RunState(
        "abc", step, {"w": torch.arange(6.0).view(2, 3)}, momentum, {"num_steps": step}, Curve([1.5], [0.5], [2.0]), 3.5
    )


def test_what_is_saved_is_loaded(tmp_path):
    state().save(tmp_path / "deep" / "state.pt")
    loaded = RunState.load(tmp_path / "deep" / "state.pt", "abc")
    assert (loaded.step, loaded.seconds, loaded.curve) == (7, 3.5, Curve([1.5], [0.5], [2.0]))
    assert torch.equal(loaded.network["w"], state().network["w"])
    assert torch.equal(loaded.optimizer["state"][0]["momentum_buffer"], torch.ones(3))


def test_memory_layout_survives(tmp_path):
    weight = torch.randn(4, 3, 2, 2).to(memory_format=torch.channels_last)
    RunState("abc", network={"w": weight}).save(tmp_path / "s.pt")
    assert RunState.load(tmp_path / "s.pt", "abc").network["w"].stride() == weight.stride()


def test_a_failed_save_keeps_the_old_state_and_no_rubbish(tmp_path, monkeypatch):
    path = tmp_path / "state.pt"
    state(7).save(path)

    def refuse(*args):
        raise OSError("disk full")

    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(StoreError, match=r"Saving the state of candidate abc failed at .*state.pt: disk full"):
        state(8).save(path)
    assert RunState.load(path, "abc").step == 7
    assert [file.name for file in tmp_path.iterdir()] == ["state.pt"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_a_full_disk_is_named_where_torch_says_something_else(tmp_path, monkeypatch):
    """Otherwise the candidate would be recorded as failed, and each one after it."""
    path = tmp_path / "state.pt"
    state(7).save(path)
    open_file = Path.open
    monkeypatch.setattr(Path, "open", lambda file, mode="r": open_file(Path("/dev/full"), mode))
    large = RunState("abc", 8, {"w": torch.zeros(1 << 18)})
    with pytest.raises(StoreError, match=r"Saving the state of candidate abc failed .* the disk or quota is full"):
        large.save(path)
    monkeypatch.undo()
    assert RunState.load(path, "abc").step == 7


def test_what_a_kill_while_saving_leaves_goes_with_the_next_claim(tmp_path):
    folder = tmp_path / "abc"
    child = os.fork()
    if child == 0:
        with claimed(folder):
            state(7).save(folder / "state.pt")
            os.replace = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
            state(8).save(folder / "state.pt")
    os.waitpid(child, 0)
    (folder / "state.pt.17.tmp").write_bytes(b"half")  # as earlier versions called it
    assert len(list(folder.glob("*.tmp"))) == 2
    with claimed(folder):
        assert sorted(file.name for file in folder.iterdir()) == ["claim.lock", "owner.json", "state.pt"]
        assert RunState.load(folder / "state.pt", "abc").step == 7


@pytest.mark.parametrize("content", [None, b"", b"rubbish", b"PK\x03\x04cut"])
def test_a_missing_or_damaged_file_is_a_fresh_start(tmp_path, content):
    if content is not None:
        (tmp_path / "state.pt").write_bytes(content)
    assert RunState.load(tmp_path / "state.pt", "abc").step == 0


@pytest.mark.parametrize("refusal", [errno.ESTALE, errno.EMFILE, errno.EACCES])
def test_a_file_that_the_system_refuses_to_read_is_no_fresh_start(tmp_path, monkeypatch, refusal):
    """The next save would replace hours of training by a minute."""
    state().save(tmp_path / "state.pt")

    def refuse(*_, **__):
        raise OSError(refusal, os.strerror(refusal))

    monkeypatch.setattr("zipfile.io.open", refuse)
    with pytest.raises(StoreError, match=r"Reading the state of candidate abc failed at .*state\.pt: \w"):
        RunState.load(tmp_path / "state.pt", "abc")


def test_no_flipped_bit_changes_a_run(tmp_path):
    path = tmp_path / "state.pt"
    state().save(path)
    content, refused = path.read_bytes(), 0
    for place in range(0, 8 * len(content), 61):
        changed = bytearray(content)
        changed[place // 8] ^= 1 << place % 8
        path.write_bytes(changed)
        loaded = RunState.load(path, "abc")
        refused += loaded.step == 0
        if loaded.step:
            assert torch.equal(loaded.network["w"], state().network["w"])
            assert (loaded.step, loaded.seconds, loaded.recorder) == (7, 3.5, {"num_steps": 7})
    assert refused > 100


def test_a_state_of_another_run_or_format_is_a_fresh_start(tmp_path):
    state().save(tmp_path / "state.pt")
    assert RunState.load(tmp_path / "state.pt", "other").step == 0
    torch.save({"format": 0, "candidate_id": "abc", "step": 7}, tmp_path / "old.pt")
    assert RunState.load(tmp_path / "old.pt", "abc").step == 0
    for number, content in enumerate(([1, 2], torch.ones(2), {"format": 1}, {"format": 1, "candidate_id": "abc"})):
        torch.save(content, tmp_path / f"{number}.pt")
        assert RunState.load(tmp_path / f"{number}.pt", "abc").step == 0


def test_nothing_in_the_file_is_executed(tmp_path):
    torch.save({"format": 1, "candidate_id": "abc", "step": os.getcwd}, tmp_path / "state.pt")
    assert RunState.load(tmp_path / "state.pt", "abc").step == 0


@pytest.mark.usefixtures("gpu")
def test_a_state_from_a_gpu_goes_on_there_or_on_a_cpu(tmp_path):
    device = torch.device("cuda", 0)
    torch.cuda.set_rng_state(torch.cuda.get_rng_state(device), device)
    saved = RunState("abc", network={"w": torch.arange(6.0).to(device)}, random=random_state(device))
    saved.save(tmp_path / "s.pt")
    loaded = RunState.load(tmp_path / "s.pt", "abc")
    assert not loaded.network["w"].is_cuda
    assert torch.equal(loaded.network["w"], torch.arange(6.0))
    torch.manual_seed(1)
    assert not torch.equal(torch.cuda.get_rng_state(device), saved.random[1])
    set_random_state(loaded.random, torch.device("cpu"))  # a state of a GPU is of no use there
    assert not torch.equal(torch.cuda.get_rng_state(device), saved.random[1])
    set_random_state(loaded.random, device)
    assert torch.equal(torch.cuda.get_rng_state(device), saved.random[1])
    assert torch.equal(torch.get_rng_state(), saved.random[0])
