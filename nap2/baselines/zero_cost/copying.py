"""Deep copies of networks: what `copy.deepcopy` makes, without its cost of a tenth of a forward pass.

A network of some hundred modules has some ten thousand attributes that are numbers, flags or empty tables of hooks, and
`copy.deepcopy` walks through each of them; here the first are shared and the last made anew. Everything else, and every
module whose class says itself how it is copied or pickled, goes to `copy.deepcopy`.
"""

import copy
import copyreg
from collections import Counter, OrderedDict
from typing import Any

import torch
from torch import Tensor, nn

UNCHANGEABLE = frozenset({type(None), bool, int, float, complex, str, bytes, torch.dtype, torch.device, torch.Size})
TABLES = frozenset({dict, OrderedDict, set, list})


def copy_network(network: nn.Module, without: tuple[type[nn.Module], ...] = ()) -> nn.Module:
    """A deep copy: equal to `copy.deepcopy(network)`, its parameters without gradients; raises what that raises.

    Modules of the classes `without` are not copied: an `nn.Identity` stands in their place.
    """
    return _Copier(network, without).module(network)


class _Copier:
    """One copy in the making. `memo` is that of `copy.deepcopy`: what is reached twice is copied once."""

    def __init__(self, network: nn.Module, without: tuple[type[nn.Module], ...]) -> None:
        self.memo: dict[int, Any] = {id(m): nn.Identity() for m in network.modules() if isinstance(m, without)}
        self.kinds: dict[type, bool] = {}
        places = Counter(_place(buffer) for buffer in network.buffers())
        self.shared = {place for place, count in places.items() if count > 1}

    def module(self, module: nn.Module) -> nn.Module:
        kind = type(module)
        if kind not in self.kinds:
            self.kinds[kind] = is_copied_by_default(kind)
        if id(module) in self.memo or not self.kinds[kind]:
            twin: nn.Module = copy.deepcopy(module, self.memo)
            return twin
        twin = kind.__new__(kind)
        self.memo[id(module)] = twin
        state: dict[str, Any] = module.__getstate__()  # type: ignore[no-untyped-call]  # torch leaves both unannotated
        for name, value in state.items():
            form = type(value)
            if form in UNCHANGEABLE or (form is tuple and UNCHANGEABLE.issuperset(map(type, value))):
                continue
            if form in TABLES and not value and id(value) not in self.memo:  # most attributes
                state[name] = self.memo[id(value)] = form()
            else:
                state[name] = self.attribute(value)
        if kind.__setstate__ is nn.Module.__setstate__:
            vars(twin).update(state)
        else:
            twin.__setstate__(state)  # type: ignore[no-untyped-call]
        return twin

    def attribute(self, value: Any) -> Any:
        if type(value) is not dict or id(value) in self.memo:
            return copy.deepcopy(value, self.memo)
        self.memo[id(value)] = table = {}
        for name, entry in value.items():
            table[name if type(name) is str else copy.deepcopy(name, self.memo)] = self.entry(entry)
        return table

    def entry(self, value: Any) -> Any:
        if isinstance(value, nn.Module):
            return self.module(value)
        kind = type(value)
        if kind in UNCHANGEABLE:
            return value
        if kind is Tensor and id(value) not in self.memo and self.is_alone(value):
            self.memo[id(value)] = value.clone()
            return self.memo[id(value)]
        if kind is nn.Parameter:
            return value.__deepcopy__(self.memo)
        return copy.deepcopy(value, self.memo)

    def is_alone(self, tensor: Tensor) -> bool:
        """Whether nothing else reads this memory, so that a clone is all that a copy has to be."""
        is_whole = tensor.untyped_storage().nbytes() == tensor.numel() * tensor.element_size()
        plain = tensor.layout is torch.strided and not (tensor.requires_grad or tensor._is_view() or vars(tensor))
        return plain and is_whole and _place(tensor) not in self.shared


def is_copied_by_default(kind: type[nn.Module]) -> bool:
    """Whether objects of this class are copied by copying their attributes: no method of its own says otherwise."""
    methods = ("__getstate__", "__reduce_ex__", "__reduce__")
    changed = any(getattr(kind, name) is not getattr(nn.Module, name) for name in methods)
    added = any(hasattr(kind, name) for name in ("__deepcopy__", "__getnewargs__", "__getnewargs_ex__"))
    has_slots = any(vars(base).get("__slots__") for base in kind.__mro__)
    return not (changed or added or has_slots or kind in copyreg.dispatch_table)


def _place(tensor: Tensor) -> int:
    return tensor.untyped_storage().data_ptr() if tensor.layout is torch.strided else -1
