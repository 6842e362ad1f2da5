"""The first mini-batches of one network's training, on a copy of it."""

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.parameter import is_lazy
from torch.optim import Optimizer

from nap2.errors import NetworkError, described, kind_of
from nap2.snapshots.layers import recorded_layers, unwrapped
from nap2.snapshots.recorder import SnapshotRecorder
from nap2.training.recipe import Recipe

Batches = Iterator[tuple[Tensor, Tensor]]

NO_COPY = (
    "part of its forward is a function that holds this very network (a lambda, torch.compile(model.forward)), so a "
    "copy cannot be trained; use torch.compile(model), or write it as a Module's forward."
)
LATE = (
    "its forward pass made parameters at mini-batch {step}, which no optimizer moves; make all of them in __init__, or "
    "run one batch through the network before ranking."
)


def ready_copy(model: object, batches: Batches) -> tuple[nn.Module, Batches]:
    """A copy of a network in training mode, its lazy layers built by a look at the first batch, and all the batches.

    Raises:
        NetworkError: if it is no network, cannot be copied, or nothing in it can be recorded or trained.
    """
    bare = _bare(model)
    is_unbuilt = any(map(is_lazy, bare.parameters()))
    if not is_unbuilt:
        recorded_layers(bare)  # says which layer is at fault; torch would say that it cannot be copied
    network = _copied(bare)
    if is_unbuilt:
        first = next(batches)
        network.eval()
        with torch.no_grad():
            network(_own(first[0], _device(network)))
        batches = chain([first], batches)
    if any(True for _ in network.parameters()) and not any(p.requires_grad for p in network.parameters()):
        raise NetworkError("every parameter is frozen (requires_grad is False), so nothing can be trained.")
    network.train()  # whose result is not the network where a class of its own forgets to return it
    return network, batches


@contextmanager
def left_alone(model: nn.Module) -> Iterator[None]:
    """A block in which no gradient may reach a network whose copy is trained: torch copies no function that holds it.

    Raises:
        NetworkError: in the block, from the backward pass that would reach it, and before that writes a gradient; what
            the forward pass wrote into its buffers (those of a normalisation) is taken back.
    """
    own = [weight for weight in model.parameters() if weight.requires_grad and not is_lazy(weight)]
    reachable = [weight for weight in own if not weight.is_inference()]
    handles = [weight.register_hook(_refuse) for weight in reachable]  # type: ignore[no-untyped-call]  # torch's own
    kept = [(buffer, buffer.detach().clone()) for buffer in model.buffers() if _is_plain(buffer)]
    try:
        yield
    except NetworkError:
        with torch.no_grad():
            for buffer, before in kept:
                if not torch.equal(buffer, before):
                    buffer.copy_(before)
        raise
    finally:
        for handle in handles:
            handle.remove()


def train(
    network: nn.Module, batches: Batches, recorder: SnapshotRecorder, recipe: Recipe, batches_per_epoch: int
) -> Iterator[tuple[Tensor, Tensor]]:
    """Train on every batch; yields each loss and the logits `[B, classes]` behind it.

    Args:
        network: in training mode.
        batches: what it is trained on; neither it nor a network that writes into its inputs changes them.
        recorder: of the network.
        recipe: how it is trained.
        batches_per_epoch: after how many the learning rate changes; 0 where nobody knows.

    Raises:
        NetworkError: if its output is no logits for the targets, or its forward pass makes parameters.
    """
    optimizer = recipe.build_optimizer(network.parameters())
    moved = {id(parameter) for group in optimizer.param_groups for parameter in group["params"]}
    device = _device(network)
    is_bf16 = recipe.precision == "bf16"
    for step, (inputs, targets) in enumerate(batches):
        for group in optimizer.param_groups:
            group["lr"] = recipe.learning_rate(epoch_of(step, batches_per_epoch, recipe))
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast(device.type, enabled=False):  # a caller's would reach into backward
            with torch.autocast(device.type, torch.bfloat16, enabled=is_bf16):
                logits = _logits(network(_own(inputs, device)), targets)
                loss = functional.cross_entropy(logits, _own(targets, device))
            loss.backward()  # type: ignore[no-untyped-call]  # torch's own
        for parameter in network.parameters():
            if id(parameter) not in moved:
                raise NetworkError(LATE.format(step=step + 1))
            if parameter.grad is not None and parameter.grad.is_sparse:  # which weight decay cannot be added to
                parameter.grad = parameter.grad.to_dense()
        recorder.step()
        _begin_momentum(optimizer)
        optimizer.step()
        yield loss.detach(), logits.detach()


def _is_plain(buffer: Tensor) -> bool:
    return buffer.layout == torch.strided and not (is_lazy(buffer) or buffer.is_meta or buffer.is_inference())


def _refuse(gradient: Tensor) -> None:
    raise NetworkError(NO_COPY)


def epoch_of(step: int, batches_per_epoch: int, recipe: Recipe) -> int:
    """The epoch of a mini-batch, both counted from 0; a small loader is over many times, and stays in the last."""
    return min(step // batches_per_epoch, recipe.epochs - 1) if batches_per_epoch else 0


def _begin_momentum(optimizer: Optimizer) -> None:
    """Let the momentum of each parameter that has its first gradient begin at zero.

    Torch's fused SGD begins that of all at once, and fails where one comes later: an expert's of a mixture, say.
    """
    for group in optimizer.param_groups:
        for parameter in group["params"] if group.get("momentum") else ():
            if parameter.grad is not None and not optimizer.state[parameter]:
                optimizer.state[parameter]["momentum_buffer"] = torch.zeros_like(parameter)


def _bare(model: object) -> nn.Module:
    """The network without what it is wrapped in.

    Raises:
        NetworkError: if it is none.
    """
    if not isinstance(model, nn.Module):
        raise NetworkError(f"{kind_of(model)} is no torch module; call what makes one before ranking.")
    return unwrapped(model)


def _copied(model: nn.Module) -> nn.Module:
    """A deep copy; what a lazy network has not built yet, which torch refuses to copy, is made anew and still empty.

    Raises:
        NetworkError: if it cannot be copied.
    """
    empty: dict[int, Any] = {}
    for tensor in filter(is_lazy, (*model.parameters(), *model.buffers())):
        kind: Any = type(tensor)
        empty[id(tensor)] = kind(device=tensor.device, dtype=tensor.dtype)
    try:
        return copy.deepcopy(model, empty)
    except Exception as error:  # a foreign network may hold anything
        raise NetworkError(
            f"it cannot be copied; make it anew if it keeps tensors of an earlier forward pass ({described(error)})."
        ) from error


def _device(network: nn.Module) -> torch.device:
    return next(network.parameters()).device


def _own(tensor: Tensor, device: torch.device) -> Tensor:
    """A copy, even where it is on the device already: a network may write into its inputs."""
    return tensor.to(device, copy=True)


def _logits(output: object, targets: Tensor) -> Tensor:
    """The network's output, if a cross-entropy can be computed from it.

    Raises:
        NetworkError: if it is no `[B, classes]` tensor of two classes or more, or has other outputs than the targets.
    """
    if not isinstance(output, Tensor):
        raise NetworkError(
            f"forward returned {kind_of(output)}; wrap the network so that it returns its logits alone, one "
            "tensor [batch, classes]."
        )
    if output.dim() != 2 or len(output) != len(targets) or output.shape[1] < 2:  # of one class, the loss is always 0
        raise NetworkError(
            f"forward returned {list(output.shape)} for {len(targets)} inputs; it must return logits [batch, classes], "
            "of two classes or more."
        )
    if targets.is_floating_point() and targets.shape[1] != output.shape[1]:
        raise NetworkError(
            f"the targets are probabilities of {targets.shape[1]} classes, but the network has {output.shape[1]} "
            "outputs."
        )
    if not targets.is_floating_point() and len(targets) and int(targets.max()) >= output.shape[1]:
        raise NetworkError(
            f"label {int(targets.max())} occurs, but the network has {output.shape[1]} outputs, for labels from 0 to "
            f"{output.shape[1] - 1}."
        )
    return output
