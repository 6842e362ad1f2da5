"""One embedding → final accuracy: the predictor of the readings that know no order (App. H.2)."""

from torch import Tensor, nn


class SnapshotMLP(nn.Module):
    """Two dense layers, as NAP2's predictor ends in (256 → 128 → 1); the paper does not say which it took.

    Args:
        input_size: entries of one embedding, `D`.
        hidden: units of the hidden layer.
        dropout: before the last layer.
    """

    def __init__(self, input_size: int, hidden: int = 128, dropout: float = 0.1) -> None:
        super().__init__()
        self.dense1 = nn.Linear(input_size, hidden)
        self.dropout = nn.Dropout(dropout)
        self.dense2 = nn.Linear(hidden, 1)

    def forward(self, trajectory: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Predict final accuracies.

        Args:
            trajectory: `[B, 1, D]`, what `one_embedding` makes of a trajectory.
            lengths: all 1; taken so that it can be called as the other predictor is.

        Returns:
            `[B]`, fractions in [0, 1].
        """
        hidden = self.dropout(self.dense1(trajectory[:, 0]).relu())
        predicted: Tensor = self.dense2(hidden).sigmoid()[:, 0]
        return predicted
