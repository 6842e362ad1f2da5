"""The snapshot recorder as a Lightning callback, for any LightningModule."""

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from torch import nn
from torch.optim import Optimizer

from nap2.errors import NetworkError
from nap2.schema import DEFAULT_EVERY, MAX_SNAPSHOTS
from nap2.snapshots.recorder import SnapshotRecorder, trajectory_of
from nap2.snapshots.trajectory import Trajectory


class RecorderCallback(Callback):
    """Takes a snapshot every `every` optimizer steps, after backward and before the step; it changes nothing.

    Gradients are as Lightning hands them to `on_before_optimizer_step`: accumulated, unscaled, unclipped (but clipped
    where optimization is manual and clips before it steps: call a recorder's `step` yourself there). With several
    optimizers, steps of the first that moves the recorded network are counted. An optimizer that evaluates the loss
    several times in a step (LBFGS) is recorded at the first, whose weights are those before the step. Its state is part
    of Lightning's checkpoints; several callbacks of one trainer need an `attribute` each.

        recorder = RecorderCallback(every=100)
        Trainer(callbacks=[recorder], …).fit(module, …)
        recorder.trajectory().save("run.safetensors")

    Args:
        every: optimizer steps between two snapshots.
        limit: snapshots after which nothing more is recorded.
        attribute: name of the network inside the LightningModule, like `net`; None records the whole module.
        recorder: use this one, which knows its network, interval and limit, instead of making one.
    """

    def __init__(
        self,
        every: int = DEFAULT_EVERY,
        limit: int = MAX_SNAPSHOTS,
        attribute: str | None = None,
        recorder: SnapshotRecorder | None = None,
    ) -> None:
        self.every, self.limit, self.attribute = every, limit, attribute
        self._recorder, self._is_given = recorder, recorder is not None
        self._state: dict[str, Any] = {}
        self._is_restored = False  # from a checkpoint, which may go on in another module
        self._optimizer: Optimizer | None = None  # the one whose steps are counted
        self._counted_at = -1  # trainer.global_step of the last step that was counted

    @property
    def state_key(self) -> str:
        """Under which a checkpoint keeps the state: Lightning refuses two callbacks of one key."""
        name = type(self).__qualname__
        return name if self.attribute is None else f"{name}[{self.attribute}]"

    @property
    def num_snapshots(self) -> int:
        """Snapshots taken so far."""
        return self._recorder.num_snapshots if self._recorder else len(self._state.get("values", ()))

    def trajectory(self) -> Trajectory:
        """The snapshots so far.

        Raises:
            NetworkError: if there is none yet.
        """
        if self._recorder is not None:
            if not self._recorder.num_snapshots:
                raise NetworkError(
                    f"No snapshot was taken yet: {self._recorder.num_steps} of {self._recorder.every} optimizer steps "
                    "were counted; train longer, and where optimization is manual step the optimizers that "
                    "self.optimizers() gives: Lightning does not see the steps of bare ones."
                )
            return self._recorder.trajectory()
        if self._state:
            return trajectory_of(self._state)
        raise NetworkError(
            "No snapshot was taken yet: the trainer has not started in this process; call fit() first, or read it in "
            "on_train_end where the strategy trains in processes that it starts itself (ddp_spawn, ddp_notebook)."
        )

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Look at the network; a second fit of the same network goes on counting where the first one ended.

        Raises:
            NetworkError: if there is none of this name, or another one was recorded before.
        """
        self._counted_at = -1
        if self._is_given:
            return
        state = self.state_dict()
        network = pl_module if self.attribute is None else getattr(pl_module, self.attribute, None)
        if not isinstance(network, nn.Module):
            raise NetworkError(
                f"{type(pl_module).__name__} has no module {self.attribute!r} to record; pass "
                "RecorderCallback(attribute=…) the name of its network, or None for the whole module."
            )
        if self._recorder is not None and self._recorder.model is not network and not self._is_restored:
            raise NetworkError(
                f"This RecorderCallback has counted {self._recorder.num_steps} steps of another network; make a new "
                "RecorderCallback for each network."
            )
        self._is_restored = False
        self._recorder = SnapshotRecorder(network, self.every, self.limit)
        if state:
            self._recorder.load_state_dict(state)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Look at the optimizers, and whether the training is at its start."""
        if self._recorder is None:
            return
        self._optimizer = _optimizer_of(self._recorder.model, trainer.optimizers)
        if trainer.global_step and not self._recorder.num_steps:
            warnings.warn(
                f"The trainer has done {trainer.global_step} optimizer steps that this RecorderCallback did not count; "
                "train from the start, or resume from a checkpoint that holds the callback's state.",
                stacklevel=2,
            )

    def on_before_optimizer_step(self, trainer: Trainer, pl_module: LightningModule, optimizer: Optimizer) -> None:
        """Count the step and take a snapshot if it is time."""
        if self._recorder is None or optimizer is not self._optimizer or trainer.global_step == self._counted_at:
            return
        self._counted_at = trainer.global_step
        self._recorder.step(_grad_scale(trainer, optimizer))

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint keeps of the recorder; empty before the first fit."""
        return self._recorder.state_dict() if self._recorder else self._state

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Go on from a checkpoint."""
        self._state, self._is_restored = dict(state_dict), True
        if self._recorder is not None and self._state:
            self._recorder.load_state_dict(self._state)


def _optimizer_of(network: nn.Module, optimizers: Sequence[Optimizer]) -> Optimizer | None:
    """The first optimizer that moves a parameter of the network: at another's steps its gradients are stale.

    Where none does, as when everything is frozen, the first of all.
    """
    own = {id(parameter) for parameter in network.parameters()}
    for optimizer in optimizers:
        if any(id(parameter) in own for group in optimizer.param_groups for parameter in group["params"]):
            return optimizer
    return optimizers[0] if optimizers else None


def _grad_scale(trainer: Trainer, optimizer: Optimizer) -> float:
    """What the gradients are still multiplied by: Lightning leaves it to an optimizer that can unscale them itself."""
    scaler = getattr(trainer.precision_plugin, "scaler", None)
    if scaler is None or not getattr(optimizer, "_step_supports_amp_scaling", False):  # torch's own mark
        return 1.0
    return float(scaler.get_scale())
