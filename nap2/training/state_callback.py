"""Keeping a run resumable: its state is saved at every snapshot, every minute between them, and when asked to stop."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.utilities.exceptions import SIGTERMException
from torch import Tensor
from torch.optim import Optimizer

from nap2.training.candidate_module import CandidateModule
from nap2.training.curve_callback import CurveCallback
from nap2.training.run_state import RunState, random_state, set_random_state

SAVE_EVERY_S = 60.0
"""Between snapshots, the state is saved after this much training time: a process that is killed loses no more."""


class StateCallback(Callback):
    """Restores a `RunState` when training starts and saves one as it goes; the last in the trainer's list.

    The state saved after step t holds everything that step t + 1 depends on, so that a resumed run is bit-identical.

    Args:
        state: where the run begins; a fresh one for a new run. The network has its weights already.
        path: the file that is replaced.
        curve: the callback before this one.
        last_step: optimizer steps of the whole run; the state after the last one is not saved.
        stop_requested: looked at after every step.
    """

    def __init__(
        self, state: RunState, path: Path, curve: CurveCallback, last_step: int, stop_requested: Callable[[], bool]
    ) -> None:
        self.state, self.path, self.curve, self.last_step = state, path, curve, last_step
        self.stop_requested = stop_requested
        self.is_stopped = False
        self._saved_snapshots, self._saved_s = curve.recorder.num_snapshots, state.seconds

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Go on where the state was saved."""
        if self.state.optimizer:
            trainer.optimizers[0].load_state_dict(self.state.optimizer)
            _lie_as_weights(trainer.optimizers[0])
        set_random_state(self.state.random, pl_module.device)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Save if it is time; stop if asked."""
        assert isinstance(pl_module, CandidateModule)
        step = pl_module.first_step + batch_idx + 1
        if step == self.last_step:
            return
        is_due = self.curve.watch.seconds - self._saved_s > SAVE_EVERY_S
        has_snapshot = self.curve.recorder.num_snapshots > self._saved_snapshots
        self.is_stopped = self.stop_requested() or trainer.received_sigterm
        if has_snapshot or is_due or self.is_stopped:
            self.save(trainer, pl_module, step)
        trainer.should_stop = self.is_stopped

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Save if SIGTERM came after this step's look at it; Lightning raises it between two steps only."""
        if isinstance(exception, SIGTERMException) and not self.is_stopped:
            assert isinstance(pl_module, CandidateModule)
            self.is_stopped = True
            self.save(trainer, pl_module, pl_module.first_step + trainer.global_step)

    def save(self, trainer: Trainer, pl_module: CandidateModule, step: int) -> None:
        """Replace the file by the state after `step` steps; the time it takes is no training time.

        Raises:
            DivergedError: if the loss is no longer finite: such a state is not worth keeping.
        """
        self._saved_snapshots, self._saved_s = self.curve.recorder.num_snapshots, self.curve.watch.seconds
        self.curve.settle()  # what a GPU has still to do of these steps is training
        with self.curve.watch.paused():
            RunState(
                candidate_id=self.state.candidate_id,
                step=step,
                network=pl_module.network.state_dict(),
                optimizer=trainer.optimizers[0].state_dict(),
                recorder=self.curve.recorder.state_dict(),
                curve=self.curve.curve,
                seconds=self.curve.watch.seconds,
                random=random_state(pl_module.device),
            ).save(self.path)


def _lie_as_weights(optimizer: Optimizer) -> None:
    """Give momentum and the like the layout in memory of the weights they belong to.

    A state keeps the layout of the device that saved it. Torch's fused optimizers walk through weights and momentum in
    the order in memory: where the two differ, a CPU adds each momentum to another weight, without a word.
    """
    for weight, state in optimizer.state.items():
        for name, value in state.items():
            if isinstance(value, Tensor) and value.shape == weight.shape:
                state[name] = torch.empty_like(weight, dtype=value.dtype).copy_(value)
