"""Fit one LightningModule: resumable, the best weights kept, with progress that suits a terminal and a batch log."""

import gc
import logging
import signal
import threading
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins.environments.lightning import LightningEnvironment
from lightning.pytorch import Callback, LightningDataModule, LightningModule, Trainer
from lightning.pytorch.callbacks import EarlyStopping, ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger
from lightning.pytorch.trainer.states import TrainerStatus
from rich.progress import TaskID

from nap2.seeding import make_deterministic, seed_from
from nap2.stages.command.console import LINE_EVERY_S, console, duration, progress_bar, say
from nap2.stages.command.heap import return_freed_memory
from nap2.stages.fitting.fit_state import BesideTheOldOne, ResumePoint, whole_state
from nap2.training.stopwatch import Stopwatch

MONITORED = "val/loss"


@dataclass(frozen=True)
class FitResult:
    """What a fit ended with; the module passed in holds the best weights.

    Attributes:
        epochs: how many were completed.
        best_val_loss: of the weights that were kept.
        seconds: spent on it, in the processes before an interruption too.
    """

    epochs: int
    best_val_loss: float
    seconds: float


def fit(
    module: LightningModule,
    data: LightningDataModule,
    folder: Path,
    *,
    what: str,
    epochs: int,
    patience: int | None,
    device: str,
) -> FitResult:
    """Train until `epochs`, or until the validation loss has not improved for `patience` epochs.

    It goes on from `folder/last.ckpt`, unless that was cut short. `folder` keeps `last.ckpt`, `best.ckpt` and
    `metrics.csv`; the best weights are loaded into `module` at the end. An interruption costs the last `SAVE_EVERY_S`
    at most, and changes no weight: what a step draws depends on torch's seed at the call and on the number of the step
    alone.

    Raises:
        StoreError: if the disk refuses to read or to keep `last.ckpt`.
    """
    gc.collect()  # of the fit before, whose trainer and module hold each other
    return_freed_memory()
    quiet_lightning()
    make_deterministic()
    best_weights = ModelCheckpoint(
        folder, filename="best", monitor=MONITORED, enable_version_counter=False, save_weights_only=True
    )
    progress = _FitProgress(what, epochs)
    callbacks: list[Callback] = [_StepSeed(), progress, best_weights, ResumePoint(folder)]
    if patience is not None:
        callbacks.append(EarlyStopping(MONITORED, patience=patience))
    trainer = _trainer(folder, epochs, device, callbacks)
    for leftover in folder.glob(".*.ckpt.*.tmp"):  # of a killed process
        leftover.unlink(missing_ok=True)
    with _ctrl_c_as_ever(trainer):
        trainer.fit(module, datamodule=data, ckpt_path=whole_state(folder))
    best: dict[str, Any] = torch.load(folder / "best.ckpt", weights_only=True, map_location="cpu")
    module.load_state_dict(best["state_dict"])
    score = best_weights.best_model_score
    loss = float(score) if score is not None else float("nan")
    return FitResult(trainer.current_epoch, loss, progress.watch.seconds)


def _trainer(folder: Path, epochs: int, device: str, callbacks: list[Callback]) -> Trainer:
    """One that says nothing itself; Slurm is the batch script's concern, whatever the job's number of tasks."""
    return Trainer(
        max_epochs=epochs,
        accelerator="gpu" if device.startswith("cuda") else "cpu",
        devices=1,
        plugins=[LightningEnvironment(), BesideTheOldOne()],
        callbacks=callbacks,
        logger=CSVLogger(folder, name="", version=""),
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        log_every_n_steps=10**9,
    )


@contextmanager
def _ctrl_c_as_ever(trainer: Trainer) -> Iterator[None]:
    """Lightning takes Ctrl-C for itself: it ignores further ones and ends the process, or the fit, without a word."""
    handler = signal.getsignal(signal.SIGINT)
    try:
        yield
    except SystemExit as error:
        if trainer.state.status is TrainerStatus.INTERRUPTED:
            raise KeyboardInterrupt from error
        raise
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGINT, handler)
    if trainer.state.status is TrainerStatus.INTERRUPTED:
        raise KeyboardInterrupt


def quiet_lightning() -> None:
    """Keep Lightning's tips and device lines out of our output; its warnings about our small epochs say nothing new."""
    for name in ("lightning.pytorch", "lightning.fabric", "lightning.pytorch.utilities.rank_zero"):
        logging.getLogger(name).setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module="lightning")
    warnings.filterwarnings("ignore", message=".*litlogger.*|.*does not have many workers.*|.*Checkpoint directory.*")


class _StepSeed(Callback):
    """Dropout of step t is drawn from (torch's seed at the start, t), so that a resumed fit draws the same."""

    def __init__(self) -> None:
        self.seed = torch.initial_seed()

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        torch.manual_seed(seed_from("fit", self.seed, trainer.global_step))


class _FitProgress(Callback):
    """A bar over the epochs on a terminal; a line with the losses and an ETA at most every 30 s elsewhere.

    It counts the seconds of the fit, and keeps them in the checkpoint: a resumed fit has taken all of them.
    """

    def __init__(self, what: str, epochs: int) -> None:
        self.what, self.epochs = what, epochs
        self.bar = progress_bar() if console.is_terminal else None
        self.task: TaskID | None = None
        self.started = self.last = 0.0
        self.first_epoch = 0
        self.watch = Stopwatch()

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        self.watch.start()

    def state_dict(self) -> dict[str, Any]:
        return {"seconds": self.watch.seconds}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.watch = Stopwatch(state_dict["seconds"])
        self.watch.start()

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.started = self.last = time.monotonic()
        self.first_epoch = trainer.current_epoch
        if self.bar is not None:
            self.bar.start()
            self.task = self.bar.add_task(self.what, total=self.epochs, completed=self.first_epoch)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        done, now = trainer.current_epoch + 1, time.monotonic()
        if self.bar is not None and self.task is not None:
            self.bar.update(self.task, completed=done)
        elif now - self.last >= LINE_EVERY_S or done == self.epochs:
            left = (now - self.started) / (done - self.first_epoch) * (self.epochs - done)
            say(f"{self.what}: epoch {done} of {self.epochs}, {self._losses(trainer)}, {duration(left)} left")
            self.last = now

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._stop()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        self._stop()

    def _stop(self) -> None:
        if self.bar is not None:
            self.bar.stop()

    def _losses(self, trainer: Trainer) -> str:
        names = ("train/loss", MONITORED)
        return ", ".join(
            f"{n} {float(trainer.callback_metrics[n]):.4g}" for n in names if n in trainer.callback_metrics
        )
