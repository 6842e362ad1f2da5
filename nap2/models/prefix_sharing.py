"""Predict from every prefix of some trajectories at once, computing only once what prefixes share.

The prefixes z_1..z_k of one trajectory share the first layer's input projections, its whole forward direction, and the
part of the second layer's input projections that reads it; the backward direction starts anew at each k. Predictions
and gradients are those of `net(prefix)` for every prefix.

Dropout is the one difference in training: prefixes of one trajectory share the mask on the first layer's forward states
(each keeps its own mask everywhere else). And a step sees all prefixes of a few architectures instead of 32 prefixes of
many: another course of training, so this is an option, not the default.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from nap2.models.bigru import BiGRUPredictor, Packing


@dataclass(frozen=True)
class PrefixPredictions:
    """One prediction per prefix: `accuracy` `[P]`, of which `architecture` `[P]`, after `length` `[P]` snapshots."""

    accuracy: Tensor
    architecture: Tensor
    length: Tensor


def predict_prefixes(net: BiGRUPredictor, trajectory: Tensor, lengths: Tensor | None = None) -> PrefixPredictions:
    """Predict from all prefixes of `[A, T, D]` trajectories that hold `lengths` `[A]` snapshots (all T where None)."""
    if lengths is None:
        lengths = torch.full((len(trajectory),), trajectory.shape[1], device="cpu")
    ordered, order = lengths.cpu().sort(descending=True, stable=True)
    whole = Packing.of(ordered)
    # The longest prefixes come first; prefix p belongs to the trajectory in place `owner[p]` of the order.
    owner = torch.cat([torch.arange(size, device="cpu") for size in reversed(whole.batch_sizes)])
    sizes = torch.tensor(whole.batch_sizes[::-1], device="cpu")
    length = torch.arange(int(ordered[0]), 0, -1, device="cpu").repeat_interleave(sizes)
    prefixes = Packing.of(length)
    source = torch.cat([start + owner[:size] for start, size in zip(whole.starts, prefixes.batch_sizes, strict=True)])
    rows = whole.rows(trajectory[order.to(trajectory.device)])
    outputs = _recur(net, rows, whole, prefixes, source.to(trajectory.device))
    return PrefixPredictions(net.head(outputs, prefixes), order[owner], length)


def _recur(net: BiGRUPredictor, rows: Tensor, whole: Packing, prefixes: Packing, source: Tensor) -> Tensor:
    """The GRU's outputs on all prefixes `[N, 2 * H]`; row n reads row `source[n]` of the whole trajectories' `rows`."""
    ahead, back = functional.linear(rows, *net.input_weights(0)).chunk(2, 1)
    # A gather by `embedding`: its gradient on a CPU is several times as fast as that of indexing.
    shared = net.recur(ahead, 0, whole.batch_sizes, reverse=False)
    own = net.recur(functional.embedding(source, back), 0, prefixes.batch_sizes, reverse=True)
    if net.gru.num_layers == 1:
        return torch.cat([functional.embedding(source, shared), own], 1)
    weight, bias = net.input_weights(1)
    to_shared, to_own = weight.chunk(2, 1)
    of_shared = functional.embedding(source, functional.linear(net.between_layers(shared), to_shared, bias))
    outputs = net.recur_both_ways(torch.addmm(of_shared, net.between_layers(own), to_own.t()), 1, prefixes.batch_sizes)
    for layer in range(2, net.gru.num_layers):
        projected = functional.linear(net.between_layers(outputs), *net.input_weights(layer))
        outputs = net.recur_both_ways(projected, layer, prefixes.batch_sizes)
    return outputs
