"""From the components of a checkpoint folder to networks, and back.

A released predictor holds an encoder per modality (`weights_encoder`, `gradients_encoder`) and an ensemble of heads.
`spec["encoders"]` names the kind of each encoder, `spec["heads"]` says which component is a head of which modality. A
folder of format 1 says neither: its encoders are CAEs, and its one head is called `predictor`.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from nap2.checkpoint import load_into
from nap2.errors import CheckpointError
from nap2.inference.narrow import narrowed, widened
from nap2.models.bigru import BiGRUPredictor
from nap2.models.encoders import AnyEncoder, empty_encoder
from nap2.schema import MODALITIES

Components = Mapping[str, Mapping[str, Tensor]]
Heads = Mapping[str, Sequence[BiGRUPredictor]]

HEAD_MODALITIES = ("both", *MODALITIES)
OLD_HEADS = ({"component": "predictor", "modality": "both"},)


def encoders_of(tensors: Components, spec: Mapping[str, Any]) -> tuple[AnyEncoder, AnyEncoder]:
    """The encoders of weights and gradients.

    Raises:
        CheckpointError, UnknownNameError: if one is missing, of an unknown kind or of another shape.
    """
    first, second = (_encoder(tensors, spec, modality) for modality in MODALITIES)
    return first, second


def heads_of(tensors: Components, spec: Mapping[str, Any]) -> dict[str, list[BiGRUPredictor]]:
    """The heads by modality (`both`, `weights` or `gradients`), in the order of the spec.

    Raises:
        CheckpointError: if there is none, or one is missing or of another shape.
    """
    heads: dict[str, list[BiGRUPredictor]] = {}
    for entry in _entries(spec):
        name, modality = str(entry["component"]), str(entry["modality"])
        _require(tensors, name)
        state = widened(tensors[name])
        with torch.device("meta"):  # no initial values, as all are replaced
            net = _empty_head(name, state)
        load_into(net, state, name)
        heads.setdefault(modality, []).append(net)
    return heads


def as_components(
    encoders: tuple[AnyEncoder, AnyEncoder], heads: Heads, kinds: Mapping[str, str], bits: int = 32
) -> tuple[dict[str, dict[str, Tensor]], dict[str, Any]]:
    """The inverse: state dicts by component, in 32, 16 or (encoders) 8 bits, and the spec's entries on them."""
    pairs = zip(MODALITIES, encoders, strict=True)
    tensors = {f"{modality}_encoder": narrowed(net.state_dict(), bits) for modality, net in pairs}
    entries = []
    for modality, nets in heads.items():
        for index, net in enumerate(nets):
            tensors[f"head_{modality}_{index}"] = narrowed(net.state_dict(), max(bits, 16))
            entries.append({"component": f"head_{modality}_{index}", "modality": modality})
    return tensors, {"encoders": {m: {"kind": kinds[m]} for m in MODALITIES}, "heads": entries}


def encoder_kinds(spec: Mapping[str, Any]) -> dict[str, str]:
    """The kind of each modality's encoder."""
    return {modality: str(spec.get("encoders", {}).get(modality, {}).get("kind", "cae")) for modality in MODALITIES}


def columns(num_weights: int, num_gradients: int) -> dict[str, slice]:
    """Which entries of an embedding each modality reads."""
    both = num_weights + num_gradients
    return {"both": slice(0, both), "weights": slice(0, num_weights), "gradients": slice(num_weights, both)}


def check_inputs(modality: str, nets: Sequence[BiGRUPredictor], read: slice) -> None:
    """Refuse heads that read embeddings of another size.

    Raises:
        CheckpointError: if there is one.
    """
    expected = read.stop - read.start
    for net in nets:
        found = net.gru.input_size
        if found != expected:
            raise CheckpointError(
                f"A head of {modality} reads embeddings of {found} numbers, the encoders give {expected}; the parts of "
                "this checkpoint do not belong together."
            )


def _encoder(tensors: Components, spec: Mapping[str, Any], modality: str) -> AnyEncoder:
    name = f"{modality}_encoder"
    _require(tensors, name)
    state = widened(tensors[name])
    encoder = empty_encoder(encoder_kinds(spec)[modality], state)
    load_into(encoder, state, name)
    return encoder


def _entries(spec: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    entries: Sequence[Mapping[str, Any]] = spec.get("heads", OLD_HEADS)
    if not entries:
        raise CheckpointError("This checkpoint lists no head; it cannot predict anything.")
    for entry in entries:
        if entry.get("modality") not in HEAD_MODALITIES or "component" not in entry:
            raise CheckpointError(
                f"The spec lists the head {dict(entry)}; it needs a component and a modality of "
                f"{', '.join(HEAD_MODALITIES)}."
            )
    return entries


def _require(tensors: Components, name: str) -> None:
    if name not in tensors:
        raise CheckpointError(
            f"A predictor needs two encoders and every head that its spec lists; this checkpoint lacks {name}."
        )


def _empty_head(name: str, state: Mapping[str, Tensor]) -> BiGRUPredictor:
    """A head of the size of these tensors."""
    try:
        hidden, input_size = state["gru.weight_hh_l0"].shape[1], state["gru.weight_ih_l0"].shape[1]
    except (KeyError, IndexError) as error:
        raise CheckpointError(f"The checkpoint of {name} lacks the tensors of its GRU ({error}).") from error
    layers = sum(key.startswith("gru.weight_hh_l") and not key.endswith("_reverse") for key in state)
    return BiGRUPredictor(input_size=input_size, hidden=hidden, layers=layers)
