"""A GPU for machines that have none: tensors that say they are on `cuda:0`, hold real values, and refuse to be mixed.

What a GPU would refuse, it refuses (operands on two devices, `.numpy()`); what a GPU would wait for, it counts (values
that Python or the CPU asks for). It computes on the CPU, so it shows no kernel, no speed and no rounding of a GPU.
"""

import copy
import sys
from collections import Counter
from contextlib import ExitStack, contextmanager
from unittest import mock

import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import return_and_correct_aliasing
from torch.utils._pytree import tree_leaves, tree_map_only

GPU = torch.device("cuda", 0)
AWAITED = ("_local_scalar_dense", "equal", "is_nonzero", "masked_select", "nonzero", "unique_dim", "_unique2")
"""Operations whose result, or the size of it, only the CPU's waiting for the GPU can tell."""
UNORDERED = (
    "_adaptive_avg_pool2d_backward",
    "adaptive_max_pool2d_backward",
    "avg_pool3d_backward",
    "cumsum",
    "grid_sampler_2d_backward",
    "histc",
    "max_pool3d_with_indices_backward",
    "nll_loss2d_forward",
    "put_",
    "reflection_pad2d_backward",
    "scatter_add",
    "scatter_add_",
    "scatter_reduce",
    "upsample_bilinear2d_backward",
)
"""Operations that add in whatever order a GPU's threads arrive (torch's list); `index_add` does where rows repeat."""


class MixedDevicesError(RuntimeError):
    """What CUDA would answer with `Expected all tensors to be on the same device`."""


class Traffic:
    """What crossed between the devices.

    Attributes:
        waits: how often the CPU had to wait for values, by operation.
        values: how many numbers it got.
        uploads: tensors sent to the GPU.
        unordered: operations on real numbers whose last bits a GPU would not reproduce.
    """

    def __init__(self):
        self.clear()

    def clear(self):
        self.waits, self.values, self.uploads, self.unordered = Counter(), 0, 0, Counter()

    def wait(self, name, num_values):
        self.waits[name] += 1
        self.values += num_values


TRAFFIC = Traffic()


class GpuTensor(torch.Tensor):
    """`held` is the same tensor on the CPU. To C++ it is a CPU tensor, to Python it is on `cuda:0`."""

    @staticmethod
    def __new__(cls, held):
        layout = {"strides": held.stride(), "storage_offset": held.storage_offset(), "dtype": held.dtype}
        return torch.Tensor._make_wrapper_subclass(cls, held.shape, **layout, device="cpu")

    def __init__(self, held):
        self.held = held

    device = property(lambda self: GPU)
    is_cuda = property(lambda self: True)
    is_cpu = property(lambda self: False)

    @classmethod
    def __torch_dispatch__(cls, operation, types, arguments=(), options=None):
        options = options or {}
        name = operation.overloadpacket.__name__
        if name == "copy_":  # the one operation that crosses
            return _copied(*arguments[:2])
        _refuse_mixtures(operation, arguments, options)
        if name in AWAITED or _asks_for_a_size(name, arguments):
            TRAFFIC.wait(name, 1)
        if _adds_in_any_order(name, arguments):
            TRAFFIC.unordered[name] += 1
        result = operation(*_held(arguments), **_held(options))
        result = tree_map_only(torch.Tensor, GpuTensor, result)
        return return_and_correct_aliasing(operation, arguments, options, result)

    def numpy(self, *_, **__):
        raise TypeError("can't convert cuda:0 device type tensor to numpy. Use Tensor.cpu() first.")

    __array__ = numpy

    def untyped_storage(self):
        return self.held.untyped_storage()

    def tolist(self):
        return _fetched(self, "tolist").tolist()

    def __deepcopy__(self, memo):
        found = memo.get(id(self))
        if found is None:
            found = GpuTensor(copy.deepcopy(self.held.detach())).requires_grad_(self.requires_grad)
            found.__dict__ |= {k: copy.deepcopy(v, memo) for k, v in self.__dict__.items() if k != "held"}
            found.grad = None if self.grad is None else copy.deepcopy(self.grad, memo)
            memo[id(self)] = found
        return found

    def __reduce_ex__(self, protocol):
        return _fetched(self, "save").__reduce_ex__(protocol)  # as `torch.load` with map_location="cpu" gives it back

    def __format__(self, style):
        return format(self.item() if self.dim() == 0 else repr(self), style)

    def __repr__(self, **_):
        return f"GpuTensor({self.held})"


class _Entrance(TorchFunctionMode):
    """Whatever Python asks for on `cuda` becomes a `GpuTensor`; whatever it asks back is counted."""

    def __torch_function__(self, function, types, arguments=(), options=None):
        options = dict(options or {})
        if function is torch.Tensor.cuda:
            return _moved(arguments[0], GPU, {})
        if function is torch.Tensor.cpu:
            return _moved(arguments[0], torch.device("cpu"), {})
        if function is torch.Tensor.to:
            return _to(arguments, options)
        if _is_device(options.get("device")) and torch.device(options["device"]).type == "cuda":
            made = function(*arguments, **{**options, "device": "cpu"})
            TRAFFIC.uploads += function in (torch.tensor, torch.as_tensor)
            return GpuTensor(made.detach()).requires_grad_(made.requires_grad)
        return function(*arguments, **options)


@contextmanager
def stand_in_gpu():
    """A block in which there is a GPU; yields its `Traffic`."""
    state = [torch.Generator().manual_seed(0).get_state()]
    answers = {
        "is_available": lambda: True,
        "device_count": lambda: 1,
        "current_device": lambda: 0,
        "is_current_stream_capturing": lambda: False,  # asked where torch is built for CUDA
        "is_initialized": lambda: True,
        "is_bf16_supported": lambda *_, **__: True,
        "get_device_capability": lambda *_: (9, 0),  # the cuDNN of a CUDA build refuses old ones
        "get_device_name": lambda *_: "stand-in",
        "get_rng_state": lambda *_: state[0].clone(),
        "set_rng_state": lambda new, *_: state.__setitem__(0, new.clone()),
        "manual_seed_all": lambda seed: state.__setitem__(0, torch.Generator().manual_seed(seed).get_state()),
        "set_device": lambda *_: None,
        "synchronize": lambda *_: TRAFFIC.wait("synchronize", 0),
        "empty_cache": lambda: None,
    }
    overwrites = torch.__future__.get_overwrite_module_params_on_conversion()
    with ExitStack() as stack:
        for name, answer in answers.items():
            stack.enter_context(mock.patch.object(torch.cuda, name, answer))
        stack.enter_context(mock.patch.object(torch.backends.cudnn, "is_acceptable", return_value=False))
        stack.callback(torch.__future__.set_overwrite_module_params_on_conversion, overwrites)
        torch.__future__.set_overwrite_module_params_on_conversion(True)  # a parameter cannot change its class
        stack.enter_context(_Entrance())
        TRAFFIC.clear()
        yield TRAFFIC


def _to(arguments, options):
    """`Tensor.to`, whose arguments may come in three orders."""
    tensor, *rest = arguments
    given = [*rest, *options.values()]
    other = next((value for value in given if isinstance(value, torch.Tensor)), None)
    target = next((torch.device(value) for value in given if isinstance(value, (str, torch.device))), None)
    kept = {"dtype": next((value for value in given if isinstance(value, torch.dtype)), None)}
    if other is not None:
        target, kept = other.device, {"dtype": other.dtype}
    kept["memory_format"] = options.get("memory_format")
    kept = {name: value for name, value in kept.items() if value is not None}
    return _moved(tensor, target or tensor.device, kept)


def _moved(tensor, device, options):
    if device.type == tensor.device.type:
        return torch.Tensor.to(tensor, **options) if options else tensor
    if tensor.requires_grad and torch.is_grad_enabled() and not tensor.is_leaf:
        raise NotImplementedError("The stand-in cannot pass gradients from one device to the other.")
    if device.type == "cpu":
        moved = _fetched(tensor, "cpu").clone()
    elif device.type == "cuda":
        TRAFFIC.uploads += 1
        moved = GpuTensor(tensor.detach().clone())
    else:
        return torch.Tensor.to(tensor, device, **options)
    moved = torch.Tensor.to(moved, **options) if options else moved
    return moved.requires_grad_(tensor.requires_grad) if moved.is_floating_point() else moved


def _copied(target, source):
    if not isinstance(target, GpuTensor):
        return target.copy_(_fetched(source, "copy_"))
    TRAFFIC.uploads += not isinstance(source, GpuTensor)
    target.held.copy_(_held(source))
    return target


def _fetched(tensor, name):
    TRAFFIC.wait(name, tensor.numel())
    return tensor.held.detach()


def _held(tree):
    return tree_map_only(GpuTensor, lambda tensor: tensor.held, tree)


def _is_device(value):
    return isinstance(value, (str, torch.device))


def _asks_for_a_size(name, arguments):
    """Indexing by a mask has to count it first, and repeats are summed up."""
    if name in ("index", "index_put", "index_put_", "_index_put_impl_"):
        return any(index is not None and index.dtype == torch.bool for index in arguments[1])
    return name == "repeat_interleave" and len(arguments) > 0 and isinstance(arguments[0], GpuTensor)


def _adds_in_any_order(name, arguments):
    if not any(isinstance(value, torch.Tensor) and value.is_floating_point() for value in arguments):
        return False
    repeats = name in ("index_add", "index_add_") and arguments[2].held.unique().numel() < arguments[2].numel()
    return repeats or name in UNORDERED


def _refuse_mixtures(operation, arguments, options):
    tensors = [leaf for leaf in tree_leaves((arguments, options)) if isinstance(leaf, torch.Tensor)]
    strangers = [tensor for tensor in tensors if not isinstance(tensor, GpuTensor) and tensor.dim() > 0]
    # Inside torch's own backward formulas C++ makes zeros, which it takes to belong on the CPU.
    is_in_formula = sys._getframe(2).f_code.co_name == "_engine_run_backward"
    if strangers and not is_in_formula and any(isinstance(tensor, GpuTensor) for tensor in tensors):
        shapes = ", ".join(str(list(tensor.shape)) for tensor in strangers)
        raise MixedDevicesError(f"{operation} on cuda:0 was given tensors on the CPU, of shape {shapes}")
