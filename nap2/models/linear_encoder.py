"""An encoder without hidden layers: a feature map → its coordinates along a few directions (PCA, or any projection).

With few candidates to fit on, directions of largest variance can be all that the data supports; a released predictor's
`spec.json` says which kind of encoder it holds.
"""

from typing import Self

import torch
from torch import Tensor, nn
from torch.nn import functional

from nap2.models.zero_skip import CompactRows
from nap2.schema import EMBEDDING_SIZE, MAX_LAYERS, MAX_VALUES, NUM_STATISTICS

ROW_SIZE = MAX_VALUES * NUM_STATISTICS
PLACES = MAX_LAYERS * ROW_SIZE


class LinearEncoder(nn.Module):
    """`[B, 12, 65, 100]` → `[B, D]`: `scale * (weight @ map) + bias`, the map flattened as `[L, V, F]`.

    The scale stands apart, so that directions of length 1 can be stored in half precision.

    Args:
        size: entries of the embedding, `D`.
    """

    def __init__(self, size: int = EMBEDDING_SIZE) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(size, PLACES))
        self.scale = nn.Parameter(torch.ones(size))
        self.bias = nn.Parameter(torch.zeros(size))

    @classmethod
    def from_pca(cls, maps: Tensor, size: int = EMBEDDING_SIZE) -> Self:
        """The first principal directions of some maps, all in one scale: the first has variance 1 over these maps.

        One scale and not one each: n maps have n − 1 components, and with unit variance in each of them any two of the
        n are equally far apart, so that nothing could be learned from their places.

        Args:
            maps: log-normalised `[B, 12, 65, 100]`, B ≥ 2.
            size: most directions; there are at most B − 1. Those along which nothing varies give 0.

        Returns:
            An encoder whose embeddings of these maps have mean 0; the largest entry of each direction is positive.
        """
        size = min(size, len(maps) - 1)
        rows = maps.permute(0, 2, 3, 1).reshape(len(maps), PLACES).double()
        mean = rows.mean(0)
        _, deviations, directions = torch.linalg.svd(rows - mean, full_matrices=False)
        deviations, directions = deviations[:size] / (len(rows) - 1) ** 0.5, directions[:size]
        largest = directions.gather(1, directions.abs().argmax(1, keepdim=True))
        directions = directions * largest.sign()
        scale = torch.where(deviations > deviations[0] * 1e-9, 1 / deviations[0], 0.0)
        encoder = cls(len(directions))
        state = {"weight": directions, "scale": scale, "bias": -scale * (directions @ mean)}
        encoder.load_state_dict({name: tensor.float() for name, tensor in state.items()})
        return encoder

    @property
    def size(self) -> int:
        """Entries of the embedding."""
        return len(self.bias)

    def forward(self, x: Tensor) -> Tensor:
        """Encode dense log-normalised maps."""
        return self._encode(x.permute(0, 2, 3, 1).reshape(len(x), PLACES))

    def encode_rows(self, compact: CompactRows) -> Tensor:
        """Encode maps whose zeros are already left out; equal to `forward` of the dense maps."""
        rows = self.weight.new_zeros(compact.num_maps * MAX_LAYERS, ROW_SIZE)
        for group in compact.groups:
            rows[group.rows[:, None], group.places] = group.values
        return self._encode(rows.view(compact.num_maps, PLACES))

    def _encode(self, maps: Tensor) -> Tensor:
        return functional.linear(maps, self.weight) * self.scale + self.bias
