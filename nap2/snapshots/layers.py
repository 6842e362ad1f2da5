"""Which layers of a network are recorded, and which of their units are sampled (App. B.1, B.4; docs/decisions.md)."""

import math
from functools import lru_cache
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy
from torch.nn.utils.parametrize import is_parametrized

from nap2.errors import NetworkError, kind_of
from nap2.schema import MAX_LAYERS, SAMPLED_UNITS, SAMPLING_SEED

RECORDED_TYPES = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.Linear)
COMPUTED = (
    "The weight of layer {name!r} is computed from other parameters (weight norm, pruning or another parametrisation) "
    "and has no gradient of its own; remove the parametrisation before recording."
)
WRAPPED = ("_orig_mod", "_checkpoint_wrapped_module", "_forward_module")
"""Where torch.compile, torch's activation checkpointing and Lightning Fabric keep the network."""


class RecordedLayer(NamedTuple):
    """One layer whose weight and gradient are observed.

    Attributes:
        name: the module's name in `named_modules()`.
        weight: the parameter itself, `[units, …]`.
        units: output filters or neurons, before sampling.
    """

    name: str
    weight: nn.Parameter
    units: int


def recorded_layers(model: nn.Module) -> list[RecordedLayer]:
    """The first 65 convolutions and linear layers, in `named_modules()` order; a module that occurs twice counts once.

    Names are those of the bare network: what `DataParallel`, `DistributedDataParallel`, `torch.compile`, activation
    checkpointing and Lightning Fabric put in front of or between them is left out.

    Raises:
        NetworkError: if there is none, or one of them holds no trainable weight that could be read.
    """
    if not isinstance(model, nn.Module):
        raise NetworkError(f"Asked to record {kind_of(model)}, which is no torch module; give the network itself.")
    found = _layers(model)
    if not found and any(isinstance(module, torch.jit.ScriptModule) for module in model.modules()):
        raise NetworkError(
            f"{type(model).__name__} is compiled by torch.jit, which leaves no layer to read in it; record the network "
            "that was scripted or traced, before that."
        )
    if not found:
        known = ", ".join(kind.__name__ for kind in RECORDED_TYPES)
        raise NetworkError(
            f"{type(model).__name__} has no layer to record; give a network with one of those that NAP2 reads: {known}."
        )
    inside = {
        f"{name}.{attribute}".lstrip(".") for name, module in model.named_modules() for attribute in _inside(module)
    }
    return [_record(_bare(name, inside), module) for name, module in found[:MAX_LAYERS]]


def num_layers(model: nn.Module) -> int:
    """Convolutions and linear layers of a network, those beyond the 65 that are recorded included."""
    return len(_layers(model))


def unread_share(model: nn.Module) -> float:
    """Share of a network's weights (parameters of two axes or more) that lie in no convolution or linear layer.

    They are those of transposed convolutions, recurrent layers, embeddings, and the input projections of attention.
    """
    read = {id(module._parameters.get("weight")) for _, module in _layers(model)}
    weights = [parameter for parameter in model.parameters() if not is_lazy(parameter) and parameter.dim() > 1]
    unread = sum(weight.numel() for weight in weights if id(weight) not in read)
    return unread / max(sum(weight.numel() for weight in weights), 1)


def unwrapped(model: nn.Module) -> nn.Module:
    """The network inside wrappers that split its batches or compile its forward pass."""
    while names := _inside(model):
        model = model.get_submodule(names[0])
    return model


@lru_cache(maxsize=256)
def sampled_units(units: int) -> Tensor | None:
    """Ascending int64 `[99]` indices of the sampled units, or None if all are kept. Do not modify: it is cached."""
    if units <= SAMPLED_UNITS:
        return None
    order = torch.randperm(units, generator=torch.Generator().manual_seed(SAMPLING_SEED), device="cpu")
    return order[:SAMPLED_UNITS].sort().values


def sampled_rows(values: Tensor) -> Tensor:
    """The values of the sampled units of one weight or gradient.

    Args:
        values: `[units, …]`, of any floating dtype and device.

    Returns:
        `[min(units, 99), d]` on the same device, a view where possible. The order within a row is the order in memory,
        which no statistic depends on.
    """
    rows = values.detach()
    if rows.dim() == 4 and rows.is_contiguous(memory_format=torch.channels_last):
        rows = rows.permute(0, 2, 3, 1)
    rows = rows.reshape(len(rows), math.prod(rows.shape[1:]))
    index = sampled_units(len(rows))
    return rows if index is None else rows.index_select(0, _on_device(len(rows), rows.device))


def gradient_rows(layer: RecordedLayer, grad_scale: float = 1.0) -> Tensor:
    """The gradient of the sampled units, `[min(units, 99), d]`, divided by `grad_scale`; zeros where there is none."""
    gradient = layer.weight.grad
    if gradient is None:
        return torch.zeros_like(sampled_rows(layer.weight))
    rows = sampled_rows(gradient.to_dense() if gradient.is_sparse else gradient)  # tied with a sparse embedding
    if grad_scale == 1.0:
        return rows
    return (rows if rows.dtype == torch.float64 else rows.float()) / grad_scale


@lru_cache(maxsize=256)
def _on_device(units: int, device: torch.device) -> Tensor:
    index = sampled_units(units)
    assert index is not None
    return index.to(device)


def _layers(model: nn.Module) -> list[tuple[str, nn.Module]]:
    return [(name, module) for name, module in model.named_modules() if isinstance(module, RECORDED_TYPES)]


def _inside(module: nn.Module) -> tuple[str, ...]:
    """The attribute under which a wrapper keeps the network it wraps; empty for any other module."""
    if isinstance(module, (nn.DataParallel, nn.parallel.DistributedDataParallel)):
        return ("module",)
    return tuple(name for name in WRAPPED if name in module._modules)


def _bare(name: str, inside: set[str]) -> str:
    """A layer's name without the parts that wrappers put into it."""
    parts = name.split(".")
    return ".".join(part for end, part in enumerate(parts, 1) if ".".join(parts[:end]) not in inside)


def _record(name: str, module: nn.Module) -> RecordedLayer:
    if is_parametrized(module, "weight"):  # to read such a weight would compute it, and move its state
        raise NetworkError(COMPUTED.format(name=name))
    weight = getattr(module, "weight", None)
    if weight is None:
        raise NetworkError(f"Layer {name!r} has no weight; record the network before its weight is taken out.")
    if is_lazy(weight):
        raise NetworkError(
            f"Layer {name!r} has no weight yet; run one batch through the lazy network before recording."
        )
    if not isinstance(weight, nn.Parameter):
        raise NetworkError(COMPUTED.format(name=name))
    # torch's DTensor, whose module would be slow to import; older FSDP and ZeRO leave a flat piece, or nothing
    if hasattr(weight, "placements") or weight.dim() < 2:
        raise NetworkError(
            f"The weight of layer {name!r} is spread over several processes (FSDP); record a network whose weights are "
            "whole in every process, as DistributedDataParallel keeps them."
        )
    if weight.is_meta or not weight.is_floating_point():
        kind = "on the meta device" if weight.is_meta else f"of type {weight.dtype}"
        raise NetworkError(
            f"The weight of layer {name!r} is {kind}; record a network with real floating-point weights."
        )
    return RecordedLayer(name, weight, len(weight))
