"""Watching a training loop: statistics of weights and gradients every so many optimizer steps."""

import math
import warnings
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from nap2.errors import NetworkError, counted, kind_of
from nap2.schema import COUNTS, DEFAULT_EVERY, MAX_SNAPSHOTS, MODALITIES
from nap2.snapshots.layers import RecordedLayer, gradient_rows, num_layers, recorded_layers, sampled_rows, unread_share
from nap2.snapshots.layout import num_entries
from nap2.snapshots.movement import Mark, are_added_up, marks
from nap2.snapshots.schedule import Schedule
from nap2.snapshots.statistics import modality_statistics
from nap2.snapshots.trajectory import Trajectory

STATE = frozenset({"num_steps", "every", "layer_names", "units", "values", "counts"})


class SnapshotRecorder:
    """Takes a snapshot every `every` optimizer steps of a plain PyTorch loop, and changes nothing.

    Call `step` once per optimizer step, after `backward` and before `optimizer.step()`, so that the gradients belong to
    the weights they stand beside. When gradients are accumulated over several mini-batches, call it once, after the
    last `backward`; before any clipping; and with a loss scaler either after `unscale_` or with its scale:

        loss.backward()
        recorder.step()
        optimizer.step()

        scaler.scale(loss).backward()
        recorder.step(grad_scale=scaler.get_scale())
        scaler.step(optimizer)
    """

    def __init__(self, model: nn.Module, every: int = DEFAULT_EVERY, limit: int = MAX_SNAPSHOTS) -> None:
        """Look at the network.

        Args:
            model: any module; it is read, never called.
            every: optimizer steps between two snapshots, >= 1.
            limit: snapshots after which nothing more is recorded, >= 1.

        Raises:
            NetworkError: if the model has no layer to record, or `every` or `limit` is below 1.
        """
        self.schedule = Schedule(every, limit)
        layers = recorded_layers(model)
        self.model = model
        self.units = tuple(layer.units for layer in layers)
        self.layer_names = tuple(layer.name for layer in layers)
        self.num_steps = 0
        self._values: list[Tensor] = []  # each [M, N]
        self._counts: list[Tensor] = []  # each [M, C]
        self._before: list[Mark] = []  # of the weights, at the step before a snapshot

    @property
    def every(self) -> int:
        """Optimizer steps between two snapshots."""
        return self.schedule.every

    @property
    def limit(self) -> int:
        """Snapshots after which nothing more is recorded."""
        return self.schedule.limit

    @property
    def num_snapshots(self) -> int:
        """Snapshots taken so far."""
        return len(self._values)

    def step(self, grad_scale: float = 1.0) -> bool:
        """Count one optimizer step and take a snapshot if it is time; a step whose snapshot fails is not counted.

        Args:
            grad_scale: factor by which the loss, and so every gradient, is currently multiplied.

        Returns:
            Whether a snapshot was taken.

        Raises:
            NetworkError: if the recorded layers are no longer those of the first step, or `grad_scale` is no factor.
        """
        if not 0 < grad_scale < math.inf:
            raise NetworkError(
                f"The gradients cannot have been multiplied by {grad_scale}; pass a finite grad_scale above 0, as "
                "scaler.get_scale() gives it."
            )
        step = self.num_steps + 1
        if not self.schedule.is_due(step):
            self._before = marks(self.model) if self.schedule.is_due(step + 1) else []
            self.num_steps = step
            return False
        layers = self._current_layers(step)
        self._warn_without_gradients(step)
        self._warn_without_movement(step)
        weights = [sampled_rows(layer.weight) for layer in layers]
        gradients = [gradient_rows(layer, grad_scale) for layer in layers]
        values, counts = modality_statistics([weights, gradients])
        values, counts = values.cpu(), counts.cpu()
        self._values.append(values)
        self._counts.append(counts)
        self.num_steps = step
        return True

    def trajectory(self) -> Trajectory:
        """The snapshots so far.

        Raises:
            NetworkError: if there is none yet.
        """
        found = trajectory_of(self.state_dict())
        return replace(found, num_layers=num_layers(self.model), unread=unread_share(self.model))

    def state_dict(self) -> dict[str, Any]:
        """Everything needed to go on in another process; tensors and plain values only."""
        no_values = torch.zeros(0, len(MODALITIES), num_entries(self.units), dtype=torch.float32, device="cpu")
        no_counts = torch.zeros(0, len(MODALITIES), len(COUNTS), dtype=torch.int64, device="cpu")
        return {
            "num_steps": self.num_steps,
            "every": self.every,
            "layer_names": list(self.layer_names),
            "units": list(self.units),
            "values": torch.stack(self._values) if self._values else no_values,
            "counts": torch.stack(self._counts) if self._counts else no_counts,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from what `state_dict` returned.

        Raises:
            NetworkError: if it is no such state, belongs to another network or another interval, or if snapshots that
                this recorder wants went by while the other had reached its limit.
        """
        _check_state(state)
        theirs = (state["every"], tuple(state["units"]), tuple(state["layer_names"]))
        if theirs != (self.every, self.units, self.layer_names):
            raise NetworkError(
                f"The recorder's state is of {len(theirs[1])} layers every {theirs[0]} steps, this recorder watches "
                f"{len(self.units)} layers every {self.every}; resume with the same network and interval."
            )
        num_due, num_taken = self.schedule.num_due(state["num_steps"]), len(state["values"])
        if num_taken < num_due:
            raise NetworkError(
                f"The recorder's state holds {num_taken} snapshots after {state['num_steps']} steps, of which "
                f"{num_due} are wanted with limit={self.limit}; train again from the start to take them."
            )
        self.num_steps = state["num_steps"]
        self._values, self._counts = (list(state[name][:num_due].cpu()) for name in ("values", "counts"))

    def _current_layers(self, step: int) -> list[RecordedLayer]:
        layers = recorded_layers(self.model)
        if tuple((layer.name, layer.units) for layer in layers) != tuple(
            zip(self.layer_names, self.units, strict=True)
        ):
            raise NetworkError(
                f"The network changed while it was recorded: {counted(len(self.units), 'layer')} when the recorder was "
                f"made, {len(layers)} (or others) at step {step}; make a new recorder for a new network, and where the "
                "first forward pass makes layers, run one batch through it before."
            )
        return layers

    def _warn_without_gradients(self, step: int) -> None:
        if all(parameter.grad is None for parameter in self.model.parameters()):
            warnings.warn(
                f"No parameter has a gradient at step {step}, so its gradient map is all zero; "
                "call step() after backward and before zero_grad.",
                stacklevel=3,
            )

    def _warn_without_movement(self, step: int) -> None:
        before, self._before = self._before, []
        if are_added_up(before):
            warnings.warn(
                f"No weight has moved between steps {step - 1} and {step} of the recorder, so its gradients may be of "
                "part of a step; call step() once per optimizer step, after the last backward.",
                stacklevel=3,
            )


def trajectory_of(state: Mapping[str, Any]) -> Trajectory:
    """The snapshots that `SnapshotRecorder.state_dict` holds; layers beyond those recorded were not counted.

    Raises:
        NetworkError: if there is none yet, or it is no such state.
    """
    _check_state(state)
    if not len(state["values"]):
        raise NetworkError(
            f"No snapshot was taken yet: {state['num_steps']} of {state['every']} steps were counted; "
            f"call step() after every backward, for {state['every']} steps or more."
        )
    values, counts = state["values"].cpu(), state["counts"].cpu()
    units = torch.tensor(state["units"], dtype=torch.int64, device="cpu")
    return Trajectory(values, units, state["every"], counts, tuple(state["layer_names"]))


def _check_state(state: object) -> None:
    """Refuse what no recorder gave.

    Raises:
        NetworkError: if something is missing, or the values are not of the shape that the units say.
    """
    if not isinstance(state, Mapping):
        raise NetworkError(
            f"Asked to read {kind_of(state)}, no recorder's state; pass what SnapshotRecorder.state_dict returned."
        )
    if absent := sorted(STATE - state.keys()):
        raise NetworkError(
            f"The recorder's state lacks {', '.join(absent)}; pass what SnapshotRecorder.state_dict returned."
        )
    count, expected = len(state["values"]), (len(MODALITIES), num_entries(state["units"]))
    found = tuple(state["values"].shape), tuple(state["counts"].shape)
    if count and found != ((count, *expected), (count, len(MODALITIES), len(COUNTS))):
        raise NetworkError(
            f"The recorder's state holds values {list(found[0])} and counts {list(found[1])}, its units need values "
            f"{[count, *expected]}; pass what SnapshotRecorder.state_dict returned."
        )
