"""The training curve, measured on the way without disturbing the run."""

import math
from collections.abc import Iterable
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor
from torch.optim import Optimizer

from nap2.errors import DivergedError
from nap2.snapshots.curve import Curve
from nap2.training.candidate_module import CandidateModule
from nap2.training.recorder_callback import RecorderCallback
from nap2.training.stopwatch import Stopwatch
from nap2.training.validation import accuracy


class CurveCallback(Callback):
    """Loss of every mini-batch; validation accuracy at each snapshot and after each epoch; seconds up to each snapshot.

    Accuracy at a snapshot is that of the weights the snapshot shows, before the optimizer moves them. Losses stay on
    their device until `settle`, so that a GPU is not waited for at every step.

    Args:
        curve: what is known already; grows.
        recorder: stands before this callback in the trainer's list.
        val_batches: validation images, walked anew for each measurement.
        watch: training time; stands still while accuracy is measured.
    """

    def __init__(
        self,
        curve: Curve,
        recorder: RecorderCallback,
        val_batches: Iterable[tuple[Tensor, Tensor]],
        watch: Stopwatch,
    ) -> None:
        self.curve, self.recorder, self.val_batches, self.watch = curve, recorder, val_batches, watch
        self._losses: list[Tensor] = []

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Training time begins."""
        self.watch.start()

    def on_before_optimizer_step(self, trainer: Trainer, pl_module: LightningModule, optimizer: Optimizer) -> None:
        """Measure, if the recorder has just taken a snapshot."""
        if self.recorder.num_snapshots > len(self.curve.snapshot_accuracy):
            self.curve.snapshot_seconds.append(self.watch.seconds)
            self.curve.snapshot_accuracy.append(self._accuracy(pl_module))

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Keep the loss; measure at the end of an epoch."""
        assert isinstance(pl_module, CandidateModule)
        self._losses.append(outputs["loss"])
        if (pl_module.first_step + batch_idx + 1) % pl_module.batches_per_epoch == 0:
            self.settle()
            self.curve.epoch_accuracy.append(self._accuracy(pl_module))

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Training time ends."""
        self.watch.stop()
        self.settle()

    def settle(self) -> None:
        """Fetch the losses since the last call.

        Raises:
            DivergedError: with the first step whose loss is not finite.
        """
        if not self._losses:
            return
        losses: list[float] = torch.stack(self._losses).float().tolist()
        self._losses.clear()
        for step, loss in enumerate(losses, len(self.curve.train_loss)):
            if not math.isfinite(loss):
                raise DivergedError(step)
        self.curve.train_loss += losses

    def _accuracy(self, pl_module: LightningModule) -> float:
        assert isinstance(pl_module, CandidateModule)
        with self.watch.paused():
            return accuracy(pl_module.network, self.val_batches)
