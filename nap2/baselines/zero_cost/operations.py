"""How many multiply-adds one image takes, counted at the modules that do them."""

from typing import Any

from torch import Tensor, nn

from nap2.baselines.undefined import UndefinedScoreError
from nap2.baselines.zero_cost.layers import layers_of
from nap2.baselines.zero_cost.workbench import Workbench


def count_operations(bench: Workbench) -> int:
    """Multiply-adds of convolutions, linear layers and `nn.MultiheadAttention` for one image, evaluation mode.

    Normalisation, activations and poolings count nothing, as usual; nor does what a network computes outside
    these modules.
    """
    network, image = bench.copy(), bench.images(1)
    network.eval()
    counts: list[int] = []
    for layer in layers_of(network):
        layer.register_forward_hook(lambda layer, _, output: counts.append(_layer_operations(layer, output)))
    for module in network.modules():
        if isinstance(module, nn.MultiheadAttention):
            module.register_forward_hook(
                lambda module, args, kwargs, _: counts.append(_attention_operations(module, args, kwargs)),
                with_kwargs=True,
            )
    network(image)  # with gradients on: fused encoder layers would bypass the hooks
    if not counts:
        raise UndefinedScoreError("no convolution, linear or attention module was run")
    return sum(counts)


def _layer_operations(layer: nn.Module, output: Tensor) -> int:
    """Every output value is one product of the weight's row with as many inputs."""
    weight = layer.weight
    assert isinstance(weight, Tensor)
    return output.numel() * weight.shape[1:].numel()


def _attention_operations(module: nn.MultiheadAttention, args: tuple[Any, ...], kwargs: dict[str, Any]) -> int:
    """Projections of queries, keys, values and outputs, scores, and weighted sums, for `[B, T, D]` inputs."""
    query, key = (args[i] if len(args) > i else kwargs[name] for i, name in enumerate(("query", "key")))
    width = int(module.embed_dim)
    sources = key.numel() // key.shape[-1]
    targets = query.numel() // query.shape[-1]
    batch = 1 if query.dim() == 2 else query.shape[0 if module.batch_first else 1]
    projections = width * (2 * targets * width + sources * (int(module.kdim or width) + int(module.vdim or width)))
    total: int = projections + 2 * width * targets * sources // batch
    return total
