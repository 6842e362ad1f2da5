"""Which weights the proxies read, and in which parts they see a network."""

from collections.abc import Iterator

from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

Convolution = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
NORMALISATION: tuple[type[nn.Module], ...] = (
    _BatchNorm,
    nn.LayerNorm,
    nn.GroupNorm,
    nn.InstanceNorm1d,
    nn.InstanceNorm2d,
    nn.InstanceNorm3d,
    nn.LocalResponseNorm,
)
BATCH_NORMALISATION: tuple[type[nn.Module], ...] = (_BatchNorm,)
ACTIVATIONS: tuple[type[nn.Module], ...] = (
    nn.ReLU6,
    nn.LeakyReLU,
    nn.PReLU,
    nn.ELU,
    nn.SELU,
    nn.GELU,
    nn.SiLU,
    nn.Mish,
    nn.Hardswish,
    nn.Hardtanh,
    nn.Tanh,
    nn.Sigmoid,
    nn.Softplus,
)
POOLS: tuple[type[nn.Module], ...] = (nn.AdaptiveAvgPool2d, nn.AdaptiveMaxPool2d, nn.AvgPool2d, nn.MaxPool2d)
TRANSPARENT: tuple[type[nn.Module], ...] = (nn.Sequential, nn.ModuleList, nn.ModuleDict)


def layers_of(network: nn.Module) -> list[nn.Module]:
    """The convolutions and linear layers, in `named_modules()` order; their `weight` is what proxies read."""
    return [module for module in network.modules() if isinstance(module, (*Convolution, nn.Linear))]


def weights_of(network: nn.Module) -> list[Tensor]:
    """The weight of every layer of `layers_of`; a weight shared by two layers occurs once."""
    return list(dict.fromkeys(layer.weight for layer in layers_of(network) if isinstance(layer.weight, Tensor)))


def relus_of(network: nn.Module) -> list[nn.Module]:
    """Only true `nn.ReLU` modules: matching class *names* would count containers such as `ReLUConvBN` again."""
    return [module for module in network.modules() if isinstance(module, nn.ReLU)]


def relus_counted_twice(network: nn.Module) -> set[nn.Module]:
    """ReLUs that open a module with "ReLU" in the name of its class, such as `ReLUConvBN`: both see the same input."""
    named = [m for m in network.modules() if "ReLU" in type(m).__name__ and next(m.children(), None) is not None]
    first = (next(iter(leaves_of(module))) for module in named)
    return {leaf for leaf in first if isinstance(leaf, nn.ReLU)}


def leaves_of(network: nn.Module) -> list[nn.Module]:
    """The modules without children."""
    return [module for module in network.modules() if next(module.children(), None) is None]


def blocks_of(network: nn.Module) -> list[nn.Module]:
    """The outermost modules of a class of their own: cells, residual blocks, encoder layers.

    Sequences are looked into, leaf modules are no blocks; a chain of plain layers therefore has none.
    """
    return list(_blocks(network))


def _blocks(module: nn.Module) -> Iterator[nn.Module]:
    for child in module.children():
        if isinstance(child, TRANSPARENT):
            yield from _blocks(child)
        elif next(child.children(), None) is not None:
            yield child


def replace_modules(network: nn.Module, kinds: tuple[type[nn.Module], ...], make: type[nn.Module]) -> nn.Module:
    """Put a fresh `make()` in the place of every module of the given kinds; returns the (possibly new) root."""
    if isinstance(network, kinds):
        return make()
    for parent in list(network.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, kinds):
                setattr(parent, name, make())
    return network
