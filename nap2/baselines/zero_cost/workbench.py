"""Where networks are scored: on copies, so that nothing of the original, nor any random state, is touched."""

import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy
from torch.nn.utils.parametrize import ParametrizationList, is_parametrized, type_before_parametrizations

from nap2.baselines.undefined import UndefinedScoreError
from nap2.baselines.zero_cost.copying import copy_network
from nap2.errors import NetworkError, counted, kind_of
from nap2.seeding import deterministic_arithmetic, forked_random_state, seed_from
from nap2.snapshots.layers import unwrapped

Result = TypeVar("Result")


@dataclass
class Workbench:
    """One network and one batch, and how to get fresh copies of them.

    Attributes:
        network: the user's; never run, only copied.
        inputs: `[B, ...]` on the network's device, in its dtype; never handed out itself.
        targets: int64 `[B]` on the same device.
        seed: every pass draws from its own stream of it.
    """

    network: nn.Module
    inputs: Tensor
    targets: Tensor
    seed: int
    dtype: torch.dtype
    channels_last: bool = field(init=False)

    def __post_init__(self) -> None:
        # Eager CPU convolutions are 1.3 to 2 times faster with channels-last images, and their backward pass another
        # 5 to 10 % with weights that are not; a network that takes views of its feature maps cannot run so, and falls
        # back in `attempt`.
        is_cpu = self.inputs.device.type == "cpu"
        self.channels_last = self.inputs.dim() == 4 and is_cpu and self.dtype == torch.float32

    def copy(self, dtype: torch.dtype | None = None, without: tuple[type[nn.Module], ...] = ()) -> nn.Module:
        """A training-mode copy whose floating parameters all ask for gradients and hold none.

        Args:
            dtype: of its floating tensors; by default the one that the network is scored in.
            without: classes of modules that the copy has the identity for.
        """
        try:
            network = with_plain_weights(copy_network(self.network, without))
        except Exception as error:  # a network's own code may raise anything
            raise UndefinedScoreError(f"the network cannot be copied: {first_line(error)}") from error
        parameters = list(network.parameters())
        if self.channels_last and dtype is None:
            if not all(is_dense(tensor, self.dtype) for tensor in (*parameters, *network.buffers())):
                network = network.to(self.dtype, memory_format=torch.contiguous_format)  # type: ignore[call-overload]  # absent from the stubs
        else:
            network = network.to(dtype or self.dtype)
        for parameter in parameters:
            parameter.grad = None
            if parameter.is_floating_point():
                parameter.requires_grad_(True)
        network.train()  # what it returns is not the network where a class of its own forgets to
        return network

    def images(self, limit: int | None = None) -> Tensor:
        """A copy of the first images (all of them by default); refuses values that are not finite."""
        images = self.inputs[:limit].detach().clone()
        if images.is_floating_point() and not bool(images.isfinite().all()):
            count = int((~self.inputs.isfinite()).sum())
            raise UndefinedScoreError(f"the images hold {counted(count, 'non-finite value')}")
        return images.contiguous(memory_format=torch.channels_last) if self.channels_last else images

    def image_shape(self) -> tuple[int, ...]:
        """Shape of one image; refuses inputs that cannot be replaced by random numbers."""
        if not self.inputs.is_floating_point():
            raise UndefinedScoreError("it feeds random images, but the network takes integers")
        return tuple(self.inputs.shape[1:])

    def attempt(self, name: str, work: Callable[[], Result]) -> Result:
        """Do one piece of work on its own random stream; a fault of the network becomes an undefined score."""
        try:
            with forked_random_state(seed_from(self.seed, name)):
                return work()
        except UndefinedScoreError:
            raise
        except Exception as error:  # a network's own code may raise anything
            if self.channels_last:
                self.channels_last = False
                return self.attempt(name, work)
            raise UndefinedScoreError(failed(error)) from error

    def clock(self) -> float:
        """Seconds: on one CPU thread those of the processor, so that what else the machine does costs nothing.

        On a GPU the time of day, after the device has finished what it was given.
        """
        if self.inputs.is_cuda:
            torch.cuda.synchronize(self.inputs.device)
        elif torch.get_num_threads() == 1:
            return time.process_time()
        return time.perf_counter()


def make_workbench(network: nn.Module, inputs: Tensor, targets: Tensor, seed: int) -> Workbench:
    """Check a network and a batch as far as no network has to run for it.

    What compiles a network or splits its batches is left out: hooks and second derivatives need the bare one.

    Raises:
        NetworkError: not a module, no images, another number of labels than images, tensors without values, or
            complex ones.
    """
    if not isinstance(network, nn.Module):
        raise NetworkError(f"Only an nn.Module can be scored, not {type(network).__name__}.")
    if not isinstance(inputs, Tensor) or inputs.dim() == 0 or len(inputs) == 0:
        found = f"a tensor {list(inputs.shape)}" if isinstance(inputs, Tensor) else type(inputs).__name__
        raise NetworkError(f"A batch is a tensor of at least one image; give inputs of shape [B, ...], not {found}.")
    if not isinstance(targets, Tensor) or tuple(targets.shape) != (len(inputs),) or targets.is_floating_point():
        found = f"{targets.dtype} {list(targets.shape)}" if isinstance(targets, Tensor) else type(targets).__name__
        images = counted(len(inputs), "image")
        raise NetworkError(f"A batch of {images} needs integer labels of shape [{len(inputs)}], found {found}.")
    network = unwrapped(network)
    parameters = list(network.parameters())
    if any(is_lazy(parameter) for parameter in parameters):
        raise NetworkError("The network has lazy layers without weights yet; run one batch through it, then score it.")
    tensors = (inputs, targets, *parameters, *network.buffers())
    if any(tensor.is_meta for tensor in tensors):
        raise NetworkError(
            "A tensor on the device 'meta' holds no values to score; give network and batch on a real one."
        )
    if any(tensor.is_complex() for tensor in tensors):
        raise NetworkError("A tensor of the network or the batch is complex; proxies are defined for real ones only.")
    floats = [parameter for parameter in parameters if parameter.is_floating_point()]
    device = floats[0].device if floats else inputs.device
    dtype = floats[0].dtype if floats else torch.float32
    dtype = torch.float32 if dtype in (torch.float16, torch.bfloat16) else dtype
    inputs = inputs.detach().to(device)
    if inputs.is_floating_point():
        inputs = inputs.to(dtype)
    return Workbench(network, inputs, targets.detach().to(device, torch.int64), seed, dtype)


@contextmanager
def undisturbed(device: torch.device) -> Iterator[None]:
    """Score with gradients on, autocast and TF32 off, whatever the caller has set; leave all random states alone."""
    python_state, numpy_state = random.getstate(), np.random.get_state()  # noqa: NPY002  # the global state is the point
    try:
        full_precision = torch.autocast(device.type, enabled=False), deterministic_arithmetic()
        with torch.inference_mode(False), torch.enable_grad(), full_precision[0], full_precision[1]:
            yield
    finally:
        random.setstate(python_state)
        np.random.set_state(numpy_state)  # noqa: NPY002


def with_plain_weights(network: nn.Module) -> nn.Module:
    """A copy's computed weights (weight or spectral normalisation) made parameters of the value that they have."""
    if computes_weights(network):
        network.eval()
        for module in list(network.modules()):  # a look at a weight in training mode may change its buffers
            if is_parametrized(module):
                _make_plain(module)
    return network


def _make_plain(module: nn.Module) -> None:
    """What torch's `remove_parametrizations` does to a module and to its class, done to the module alone."""
    with torch.no_grad():
        values = {name: getattr(module, name).clone() for name in module.parametrizations}  # type: ignore[union-attr]
    module.__class__ = type_before_parametrizations(module)
    del module.parametrizations
    for name, value in values.items():
        module.register_parameter(name, nn.Parameter(value))


def computes_weights(network: nn.Module) -> bool:
    """Whether a weight is computed whenever it is read."""
    return any(isinstance(module, ParametrizationList) for module in network.modules())


def is_dense(tensor: Tensor, dtype: torch.dtype) -> bool:
    """Whether a tensor needs no conversion: contiguous, and of the dtype if it is of floats."""
    return tensor.is_contiguous() and (tensor.dtype == dtype or not tensor.is_floating_point())


def failed(error: Exception) -> str:
    """The reason of a failure that comes from the network's own code."""
    return f"the network failed: {first_line(error)}"


def first_line(error: BaseException) -> str:
    """The first line of an error, short enough for a table."""
    text = str(error).strip().split("\n", 1)[0]
    return f"{type(error).__name__}: {text[:160]}" if text else type(error).__name__


def logits_of(output: Any, num_images: int) -> Tensor:
    """What a network returned, if that is logits `[B, classes]`, finite."""
    if not isinstance(output, Tensor):
        raise UndefinedScoreError(f"it needs logits, but the network returned {kind_of(output)}")
    if output.dim() != 2 or len(output) != num_images or output.shape[1] == 0:
        raise UndefinedScoreError(f"it needs logits [{num_images}, classes], found shape {list(output.shape)}")
    if not bool(output.isfinite().all()):
        raise UndefinedScoreError("the logits are not finite")
    return output


def checked_labels(labels: Tensor, num_classes: int) -> Tensor:
    """The labels, if all are classes of the network."""
    if bool(((labels < 0) | (labels >= num_classes)).any()):
        low, high = int(labels.min()), int(labels.max())
        found = f"label {low} is" if low == high else f"labels {low}..{high} are"
        raise UndefinedScoreError(f"{found} outside the network's classes 0..{num_classes - 1}")
    return labels
