"""What a fit says of itself after an interruption, and what it leaves."""

import errno
import gc
import io
import signal
import weakref
from pathlib import Path

import pytest
import torch
from lightning.pytorch import LightningDataModule, LightningModule
from torch import Tensor, nn
from torch.utils.data import DataLoader

from nap2.errors import StoreError
from nap2.stages.fitting.fit import fit

HOUR_S = 3600.0


class Line(LightningModule):
    def __init__(self, hours_per_epoch: float, clock: dict[str, float], dies_in_epoch: int = 99) -> None:
        super().__init__()
        self.net, self.clock = nn.Sequential(nn.Dropout(0.5), nn.Linear(1, 1)), clock
        self.hours_per_epoch, self.dies_in_epoch = hours_per_epoch, dies_in_epoch

    def training_step(self, batch: Tensor, batch_idx: int) -> Tensor:
        if self.current_epoch == self.dies_in_epoch:
            raise KeyError("killed")
        self.clock["now"] += self.hours_per_epoch * HOUR_S
        return self.net(batch).square().mean()

    def validation_step(self, batch: Tensor, batch_idx: int) -> None:
        self.log("val/loss", self.net(batch).square().mean())

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.1)


class Points(LightningDataModule):
    def train_dataloader(self) -> DataLoader:
        return DataLoader(torch.ones(4, 1), 4)

    val_dataloader = train_dataloader


def test_the_seconds_of_a_fit_are_those_of_all_its_processes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = {"now": 0.0}
    monkeypatch.setattr("nap2.training.stopwatch.time.perf_counter", lambda: clock["now"])
    monkeypatch.setattr("nap2.stages.fitting.fit_state.SAVE_EVERY_S", 0.0)
    options = {"what": "a line", "epochs": 3, "patience": None, "device": "cpu"}
    with pytest.raises(KeyError, match="killed"):
        fit(Line(2.0, clock, dies_in_epoch=2), Points(), tmp_path, **options)
    clock["now"] += 100 * HOUR_S  # nobody was at work
    result = fit(Line(1.0, clock), Points(), tmp_path, **options)
    assert (result.epochs, result.seconds / HOUR_S) == (3, 5.0)


@pytest.mark.parametrize("save_every_s", [0.0, 3600.0])
def test_an_interrupted_fit_ends_as_one_that_was_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, save_every_s
) -> None:
    monkeypatch.setattr("nap2.stages.fitting.fit_state.SAVE_EVERY_S", save_every_s)
    options = {"what": "a line", "epochs": 5, "patience": None, "device": "cpu"}
    modules = []
    for name, dies_in_epoch in (("whole", 99), ("killed", 3), ("killed", 99)):
        torch.manual_seed(0)
        modules.append(Line(0.0, {"now": 0.0}, dies_in_epoch))
        if dies_in_epoch == 3:
            with pytest.raises(KeyError, match="killed"):
                fit(modules[-1], Points(), tmp_path / name, **options)
            assert (tmp_path / "killed/last.ckpt").exists() == (save_every_s == 0.0)
        else:
            assert fit(modules[-1], Points(), tmp_path / name, **options).epochs == 5
    whole, killed = modules[0].net.state_dict(), modules[2].net.state_dict()
    assert whole.keys() == killed.keys()
    assert all(torch.equal(whole[name], killed[name]) for name in whole)


class Interrupted(Line):
    def training_step(self, batch: Tensor, batch_idx: int) -> Tensor:
        raise KeyboardInterrupt


def test_ctrl_c_reaches_whoever_called(tmp_path: Path) -> None:
    """Lightning would end the process with code 1 and no word, and leave it deaf to further signals."""
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        fit(Interrupted(0.0, {"now": 0.0}), Points(), tmp_path, what="a line", epochs=2, patience=None, device="cpu")
    assert signal.getsignal(signal.SIGINT) is before


def test_the_best_weights_are_kept_without_the_state_of_the_optimizer(tmp_path: Path) -> None:
    module = Line(0.0, {"now": 0.0})
    fit(module, Points(), tmp_path, what="a line", epochs=2, patience=None, device="cpu")
    content = torch.load(tmp_path / "best.ckpt", weights_only=True)
    assert set(content["state_dict"]) == {"net.1.weight", "net.1.bias"}
    assert not content.get("optimizer_states")


def test_the_number_of_tasks_of_a_slurm_job_is_not_its_concern(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lightning finds the job by itself, would refuse it, and would put it back into the queue by its own rules."""
    variables = {
        "JOB_ID": "7",
        "JOB_NAME": "nap2-cae",
        "NTASKS": "4",
        "PROCID": "0",
        "LOCALID": "0",
        "NODELIST": "here",
    }
    for name, value in variables.items():
        monkeypatch.setenv(f"SLURM_{name}", value)
    options = {"what": "a line", "epochs": 1, "patience": None, "device": "cpu"}
    assert fit(Line(0.0, {"now": 0.0}), Points(), tmp_path, **options).epochs == 1


def test_a_state_is_written_beside_the_old_one_and_not_by_way_of_another_file_system(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """$TMPDIR often lies elsewhere; moved from there, a state is copied over the old one, and half of it may stay."""
    monkeypatch.setattr("tempfile.mkstemp", lambda *_, **__: pytest.fail("a temporary file elsewhere"))
    monkeypatch.setattr("nap2.stages.fitting.fit_state.SAVE_EVERY_S", 0.0)
    options = {"what": "a line", "patience": None, "device": "cpu"}
    fit(Line(0.0, {"now": 0.0}), Points(), tmp_path, epochs=1, **options)
    before = (tmp_path / "last.ckpt").read_bytes()
    (tmp_path / ".last.ckpt.0123.tmp").write_bytes(b"half a state")

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("nap2.snapshots.disk.os.replace", full)
        with pytest.raises(StoreError, match=r"Saving the state of a fit failed at .*the disk or quota is full"):
            fit(Line(0.0, {"now": 0.0}), Points(), tmp_path, epochs=2, **options)
    assert (tmp_path / "last.ckpt").read_bytes() == before
    assert not list(tmp_path.glob(".*.tmp"))
    assert fit(Line(0.0, {"now": 0.0}), Points(), tmp_path, epochs=2, **options).epochs == 2


def test_a_state_that_was_cut_short_is_told_and_not_gone_on_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As a full disk or a broken copy leaves it; nothing in it could be gone on from."""
    monkeypatch.setattr("nap2.stages.fitting.fit_state.SAVE_EVERY_S", 0.0)
    options = {"what": "a line", "patience": None, "device": "cpu"}
    fit(Line(0.0, {"now": 0.0}), Points(), tmp_path, epochs=1, **options)
    state = tmp_path / "last.ckpt"
    state.write_bytes(state.read_bytes()[:-100])
    assert fit(Line(0.0, {"now": 0.0}), Points(), tmp_path, epochs=2, **options).epochs == 2
    assert "last.ckpt is cut short, so this fit begins again" in capsys.readouterr().out.replace("\n", " ")


def test_a_state_that_cannot_be_read_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file server that is away for a moment costs no hours of training."""
    monkeypatch.setattr("nap2.stages.fitting.fit_state.SAVE_EVERY_S", 0.0)
    options = {"what": "a line", "patience": None, "device": "cpu"}
    fit(Line(0.0, {"now": 0.0}), Points(), tmp_path, epochs=1, **options)
    before, opened = (tmp_path / "last.ckpt").read_bytes(), io.open

    def away(file: object, *given: object, **named: object) -> object:
        if str(file).endswith("last.ckpt"):
            raise OSError(errno.EIO, "Input/output error", str(file))
        return opened(file, *given, **named)

    with monkeypatch.context() as patch:
        for name in ("io.open", "builtins.open"):
            patch.setattr(name, away)
        with pytest.raises(StoreError, match=r"Reading the state of a fit failed at .*last\.ckpt: Input/output error"):
            fit(Line(0.0, {"now": 0.0}), Points(), tmp_path, epochs=2, **options)
    assert (tmp_path / "last.ckpt").read_bytes() == before


def test_one_fit_is_gone_when_the_next_one_trains(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten autoencoders in a row grew from 0.9 to 2.3 GB."""
    gone: list[bool] = []
    monkeypatch.setattr("nap2.stages.fitting.fit.return_freed_memory", lambda: gone.append(alive() is None))
    options = {"what": "a line", "epochs": 1, "patience": None, "device": "cpu"}
    first = Line(0.0, {"now": 0.0})
    alive = weakref.ref(first)

    class Next(Line):
        def training_step(self, batch: Tensor, batch_idx: int) -> Tensor:
            assert alive() is None
            return super().training_step(batch, batch_idx)

    gc.disable()  # when it comes by itself is chance
    try:
        fit(first, Points(), tmp_path / "first", **options)
        del first
        fit(Next(0.0, {"now": 0.0}), Points(), tmp_path / "next", **options)
    finally:
        gc.enable()
    assert gone == [False, True]  # what was returned before it was gone would stay
