"""The predictor: the embeddings of a network's first snapshots → its final accuracy (App. C.2).

Sequences are packed, so a network seen for 5 snapshots is read as 5 snapshots: a padded backward pass would begin in
the padding and be another model. The reference is `nn.GRU` on each sequence alone.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.rnn import PackedSequence

from nap2.models.packed_gru import packed_gru
from nap2.schema import EMBEDDING_SIZE, MODALITIES


@dataclass(frozen=True)
class Packing:
    """Where the steps of sequences, sorted by falling length, lie in packed rows.

    Attributes:
        lengths: int64 `[B]`, never rising, on the CPU.
        batch_sizes: how many sequences have a first, second, … step.
        starts: int64 `[T]`, the first row of each step.
        steps: int64 `[N]`, the step of each row.
        sequences: int64 `[N]`, the sequence of each row.
    """

    lengths: Tensor
    batch_sizes: list[int]
    starts: Tensor
    steps: Tensor
    sequences: Tensor

    @classmethod
    def of(cls, lengths: Tensor) -> "Packing":
        """The packing of sequences of these lengths, all at least 1, never rising."""
        seen = torch.arange(int(lengths[0]), device="cpu")[:, None] < lengths  # [T, B]
        steps, sequences = seen.nonzero(as_tuple=True)
        sizes = seen.sum(1)
        return cls(lengths, sizes.tolist(), sizes.cumsum(0) - sizes, steps, sequences)

    def rows(self, values: Tensor) -> Tensor:
        """Packed rows `[N, D]` of `[B, T, D]`, whose sequences are in this order."""
        return torch.cat([values[:size, step] for step, size in enumerate(self.batch_sizes)])

    def last_rows(self) -> Tensor:
        """int64 `[B]`: the row of each sequence's last step."""
        return self.starts[self.lengths - 1] + torch.arange(len(self.lengths), device="cpu")


class BiGRUPredictor(nn.Module):
    """Bidirectional GRU, dual-path pooling (last states and attention), two dense layers; 658,946 parameters.

    Args:
        input_size: entries of one embedding, `D`.
        hidden: units of one direction.
        layers: stacked GRU layers.
        dropout: between the layers, and before the dense layers.
    """

    def __init__(
        self,
        input_size: int = EMBEDDING_SIZE * len(MODALITIES),
        hidden: int = 128,
        layers: int = 2,
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        between = dropout if layers > 1 else 0.0
        self.gru = nn.GRU(input_size, hidden, layers, batch_first=True, bidirectional=True, dropout=between)
        self.attention = nn.Linear(2 * hidden, 1)
        self.dropout = nn.Dropout(dropout)
        self.dense1 = nn.Linear(4 * hidden, 128)
        self.dense2 = nn.Linear(128, 1)

    def forward(self, trajectory: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Predict final accuracies.

        Args:
            trajectory: `[B, T, D]`; what lies beyond a sequence's length is not read.
            lengths: int64 `[B]`, 1..T, on any device; all T where None.

        Returns:
            `[B]`, fractions in [0, 1].
        """
        if lengths is None:
            lengths = torch.full((len(trajectory),), trajectory.shape[1], device="cpu")
        ordered, order = lengths.cpu().sort(descending=True, stable=True)
        packing = Packing.of(ordered)
        rows = packing.rows(trajectory[order.to(trajectory.device)])
        predicted = self.head(self._recur(rows, packing), packing)
        return torch.empty_like(predicted).index_copy(0, order.to(predicted.device), predicted)

    def head(self, outputs: Tensor, packing: Packing) -> Tensor:
        """Pool the GRU's packed outputs `[N, 2 * H]` and predict `[B]`, in the order of the packing."""
        hidden = self.gru.hidden_size
        last = outputs.index_select(0, packing.last_rows().to(outputs.device))
        final = torch.cat([last[:, :hidden], outputs[: len(last), hidden:]], 1)  # forward's last, backward's first row
        scores = self.attention(outputs).squeeze(1)  # [N]
        step, sequence = packing.steps.to(outputs.device), packing.sequences.to(outputs.device)
        unseen = scores.new_full((len(packing.batch_sizes), len(last)), -torch.inf)  # [T, B]
        shares = unseen.index_put((step, sequence), scores).softmax(0)[step, sequence]
        context = _sums(shares[:, None] * outputs, step, sequence, tuple(unseen.shape))
        pooled = self.dropout(torch.cat([final, context], 1))
        predicted: Tensor = self.dense2(functional.relu(self.dense1(pooled))).sigmoid().squeeze(1)
        return predicted

    def input_weights(self, layer: int) -> tuple[Tensor, Tensor]:
        """Weight `[6 * H, in]` and bias `[6 * H]` of one layer's input projections, both directions joined."""
        names, get = (f"l{layer}", f"l{layer}_reverse"), self.gru.get_parameter
        return torch.cat([get(f"weight_ih_{n}") for n in names]), torch.cat([get(f"bias_ih_{n}") for n in names])

    def recur(self, projected: Tensor, layer: int, batch_sizes: list[int], *, reverse: bool) -> Tensor:
        """One direction of one layer, from its input projections `[N, 3 * H]` to its states `[N, H]`."""
        name, get = f"l{layer}_reverse" if reverse else f"l{layer}", self.gru.get_parameter
        return packed_gru(projected, get(f"weight_hh_{name}"), get(f"bias_hh_{name}"), batch_sizes, reverse=reverse)

    def recur_both_ways(self, projected: Tensor, layer: int, batch_sizes: list[int]) -> Tensor:
        """One layer, from its input projections `[N, 6 * H]` to its outputs `[N, 2 * H]`."""
        ahead, back = projected.chunk(2, 1)
        states = [
            self.recur(ahead, layer, batch_sizes, reverse=False),
            self.recur(back, layer, batch_sizes, reverse=True),
        ]
        return torch.cat(states, 1)

    def between_layers(self, outputs: Tensor) -> Tensor:
        """The GRU's own dropout, on the input of every layer but the first."""
        return functional.dropout(outputs, self.gru.dropout, self.training)

    def _recur(self, rows: Tensor, packing: Packing) -> Tensor:
        if rows.device.type != "cpu":  # cuDNN runs a pass as one kernel
            outputs: Tensor = self.gru(PackedSequence(rows, torch.tensor(packing.batch_sizes, device="cpu")))[0].data
            return outputs
        for layer in range(self.gru.num_layers):
            rows = rows if layer == 0 else self.between_layers(rows)
            rows = self.recur_both_ways(functional.linear(rows, *self.input_weights(layer)), layer, packing.batch_sizes)
        return rows


def _sums(rows: Tensor, steps: Tensor, sequences: Tensor, shape: tuple[int, int]) -> Tensor:
    """Packed rows `[N, D]` summed over the steps of each sequence, `[B, D]`; `shape` is `(T, B)`."""
    if rows.device.type == "cpu":
        return rows.new_zeros(shape[1], rows.shape[1]).index_add(0, sequences, rows)
    # On a GPU `index_add` adds in whatever order its threads arrive, and no two fits would agree to the last bit.
    return rows.new_zeros(*shape, rows.shape[1]).index_put((steps, sequences), rows).sum(0)
