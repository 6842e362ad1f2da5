"""Training one candidate: from its arch string to its snapshots, curve and, if asked, final accuracy in the store."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from nap2.errors import ConfigError, NetworkError, check_name, described
from nap2.seeding import forked_random_state, make_deterministic, seed_from
from nap2.snapshots.curve import Curve
from nap2.snapshots.manifest import Candidate
from nap2.snapshots.recorder import SnapshotRecorder
from nap2.snapshots.trajectory import Trajectory
from nap2.spaces import SPACES
from nap2.training.candidate_module import CandidateModule
from nap2.training.curve_callback import CurveCallback
from nap2.training.layout import memory_format
from nap2.training.quiet_trainer import fit
from nap2.training.recipe import Recipe
from nap2.training.recorder_callback import RecorderCallback
from nap2.training.run_state import RunState
from nap2.training.state_callback import StateCallback
from nap2.training.stopwatch import Stopwatch
from nap2.training.validation import accuracy

Batches = Iterable[tuple[Tensor, Tensor]]


class RunBatches(Protocol):
    """The batches of one run, on its device."""

    def train_dataloader(self) -> Batches:
        """Training batches from the run's first step to its last."""

    def val_dataloader(self) -> Batches:
        """Fixed validation images."""

    def test_dataloader(self) -> Batches:
        """All test images."""


class CandidateData(Protocol):
    """What training needs of a dataset; `data_modules.images.ImageDataModule` is one."""

    name: Any
    num_classes: Any
    batch_size: int
    batches_per_epoch: int

    def for_run(self, seed: int, start_step: int, num_steps: int, device: torch.device | str) -> RunBatches:
        """Batches `start_step..start_step + num_steps - 1` of a seed; batch t depends on seed, dataset and t alone."""


@runtime_checkable
class Prunable(Protocol):
    """What the networks of a search space may be able to do besides."""

    def prune_dead_edges(self) -> object:
        """Stop executing what cannot change the output; exact."""


class Writer(Protocol):
    """What training needs of a store; `nap2.snapshots.writer.CandidateWriter` is one."""

    state_path: Path

    def finish(self, trajectory: Trajectory, curve: Curve, keep_state: bool, device: str) -> None:
        """Make the candidate complete, say what trained it, and forget the state unless it is to be kept."""


@dataclass(frozen=True)
class _Plan:
    """A request, checked."""

    candidate: Candidate
    recipe: Recipe
    num_snapshots: int
    num_steps: int
    to_the_end: bool
    device: torch.device


def train_candidate(
    candidate: Candidate,
    image_data: CandidateData,
    writer: Writer,
    num_snapshots: int,
    to_the_end: bool = False,
    device: torch.device | str = "cpu",
    prune: bool = True,
    stop_requested: Callable[[], bool] | None = None,
    note: Callable[[str], None] = lambda text: None,
) -> bool:
    """Train a candidate as far as asked and hand snapshots and curve to `writer`.

    A run that was interrupted goes on from `writer.state_path`, with results identical to the last bit, or starts again
    where that state cannot be used: it is damaged, or it lacks snapshots that are asked for now. A state that came as
    far as asked is that of an interrupted longer request, to which it is left. Training is deterministic, in the
    recipe's precision (float32: without TF32) and the memory layout that suits it (`layout.py`); torch's random state
    afterwards is as before.

    Args:
        candidate: what to train.
        image_data: the dataset; only its images, name and batch size matter, not its seed or position.
        writer: where the result goes.
        num_snapshots: how many snapshots to take.
        to_the_end: go on to the end of the recipe and measure the final accuracy on all test images.
        device: where to train.
        prune: skip cell edges that cannot change the output, where networks of the space can; exact.
        stop_requested: asked after every step; once it says yes, the state is saved and the call returns.
        note: is told if the run starts again, and why.

    Returns:
        Whether the candidate is complete; False if it was stopped on the way.

    Raises:
        ConfigError, UnknownNameError: if candidate, dataset and request do not fit together; before any work.
        DivergedError: if the loss is no longer finite.
        SystemExit: if the process got SIGTERM and nobody asked to stop instead; the state is saved.
    """
    plan = _plan(candidate, image_data, num_snapshots, to_the_end, torch.device(device))
    make_deterministic()
    network, recorder, state = _begun(plan, prune, writer.state_path, note)
    is_of_longer_run = state.step >= plan.num_steps
    if not is_of_longer_run and not _train(plan, image_data, network, recorder, state, writer, stop_requested):
        return False
    curve = _cut(state.curve, plan, image_data.batches_per_epoch)
    if to_the_end:
        test_batches = image_data.for_run(candidate.seed, 0, 0, plan.device).test_dataloader()
        curve.final_accuracy = accuracy(network.to(plan.device), test_batches)
    writer.finish(recorder.trajectory().first(num_snapshots), curve, is_of_longer_run, _name_of(plan.device))
    return True


def _plan(
    candidate: Candidate, image_data: CandidateData, num_snapshots: int, to_the_end: bool, device: torch.device
) -> _Plan:
    setting = candidate.setting
    check_name("search space", setting.space, SPACES)
    SPACES[setting.space].check(candidate.arch_str)
    recipe = Recipe.from_dict(setting.recipe)
    for what, asked, found in (
        ("the dataset", setting.dataset, image_data.name),
        ("the number of classes", setting.skeleton.get("num_classes"), image_data.num_classes),
        ("the batch size", recipe.batch_size, image_data.batch_size),
    ):
        if asked != found:
            raise ConfigError(f"Candidate {candidate.id} asks for {asked!r} as {what}, but the images have {found!r}.")
    whole, least = recipe.epochs * image_data.batches_per_epoch, num_snapshots * setting.every
    recipe.check_length(num_snapshots, setting.every, image_data.batches_per_epoch)
    return _Plan(candidate, recipe, num_snapshots, whole if to_the_end else least, to_the_end, device)


def _begun(
    plan: _Plan, prune: bool, state_path: Path, note: Callable[[str], None]
) -> tuple[nn.Module, SnapshotRecorder, RunState]:
    """Network and recorder where the kept state left them, and that state; all fresh where it cannot be used."""
    again = f"Candidate {plan.candidate.id} is trained from the start again"
    state = RunState.load(state_path, plan.candidate.id)
    if not state.step and state_path.exists():
        note(f"{again}: the state at {state_path} is damaged, or of another version.")
    try:
        return *_restored(plan, prune, state), state
    except (NetworkError, RuntimeError) as error:
        if not state.step:
            raise
        note(f"{again}, for its kept state does not fit ({described(error)}).")
    state_path.unlink(missing_ok=True)
    state = RunState(plan.candidate.id)
    return *_restored(plan, prune, state), state


def _restored(plan: _Plan, prune: bool, state: RunState) -> tuple[nn.Module, SnapshotRecorder]:
    network = _build(plan, prune)
    if state.network:
        network.load_state_dict(state.network)
    recorder = SnapshotRecorder(network, plan.candidate.setting.every, plan.num_snapshots)
    if state.recorder:
        recorder.load_state_dict(state.recorder)
    return network, recorder


def _build(plan: _Plan, prune: bool) -> nn.Module:
    """The network, its weights a function of the seed alone, drawn before anything is pruned."""
    setting = plan.candidate.setting
    with forked_random_state(plan.candidate.seed):
        network = SPACES[setting.space].build(plan.candidate.arch_str, **setting.skeleton)
    if prune and isinstance(network, Prunable):
        network.prune_dead_edges()
    layout = memory_format(plan.device, plan.recipe.precision)
    network.to(memory_format=layout)  # type: ignore[call-overload]  # missing from torch's stubs
    return network


def _train(
    plan: _Plan,
    image_data: CandidateData,
    network: nn.Module,
    recorder: SnapshotRecorder,
    state: RunState,
    writer: Writer,
    stop_requested: Callable[[], bool] | None,
) -> bool:
    """Whether the run came to its end."""
    num_steps = plan.num_steps - state.step
    batches = image_data.for_run(plan.candidate.seed, state.step, num_steps, plan.device)
    watch, recording = Stopwatch(state.seconds), RecorderCallback(recorder=recorder)
    curve = CurveCallback(state.curve, recording, batches.val_dataloader(), watch)
    asked = stop_requested or (lambda: False)
    keeper = StateCallback(state, writer.state_path, curve, plan.num_steps, asked)
    module = CandidateModule(network, plan.recipe, image_data.batches_per_epoch, first_step=state.step)
    with forked_random_state(seed_from(plan.candidate.seed, "training")):
        try:
            callbacks, precision = [recording, curve, keeper], plan.recipe.precision
            fit(module, batches.train_dataloader(), callbacks, plan.device, num_steps, precision)
        except SystemExit:  # SIGTERM; whoever handles that signal may rather be asked
            if not (keeper.is_stopped and asked()):
                raise
    return not keeper.is_stopped


def _cut(curve: Curve, plan: _Plan, batches_per_epoch: int) -> Curve:
    """The part of the curve that belongs to the request; an interrupted run may have come further."""
    return replace(
        curve,
        train_loss=curve.train_loss[: plan.num_steps],
        snapshot_accuracy=curve.snapshot_accuracy[: plan.num_snapshots],
        snapshot_seconds=curve.snapshot_seconds[: plan.num_snapshots],
        epoch_accuracy=curve.epoch_accuracy[: plan.num_steps // batches_per_epoch],
    )


def _name_of(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
