"""The kinds of encoder that a checkpoint may hold: one visible table, from the name in `spec.json` to a network."""

from collections.abc import Callable, Mapping
from types import MappingProxyType

import torch
from torch import Tensor

from nap2.errors import check_name
from nap2.models.cae import Encoder
from nap2.models.linear_encoder import LinearEncoder
from nap2.schema import EMBEDDING_SIZE

AnyEncoder = Encoder | LinearEncoder


def _convolutional(state: Mapping[str, Tensor]) -> Encoder:
    return Encoder(len(state["norm3.weight"]) if "norm3.weight" in state else EMBEDDING_SIZE)


def _linear(state: Mapping[str, Tensor]) -> LinearEncoder:
    return LinearEncoder(len(state["bias"]) if "bias" in state else 1)


ENCODERS: Mapping[str, Callable[[Mapping[str, Tensor]], AnyEncoder]] = MappingProxyType(
    {"cae": _convolutional, "random": _convolutional, "linear": _linear, "pca": _linear}
)


def empty_encoder(kind: str, state: Mapping[str, Tensor]) -> AnyEncoder:
    """An encoder of this kind, of the size of these tensors, on the meta device: it waits for its values.

    Raises:
        UnknownNameError: if there is no such kind.
    """
    check_name("kind of encoder", kind, ENCODERS)
    with torch.device("meta"):
        return ENCODERS[kind](state)
