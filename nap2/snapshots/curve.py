"""The training curve that is stored beside a trajectory."""

from dataclasses import dataclass, field


@dataclass
class Curve:
    """What a training run showed on its way.

    Attributes:
        train_loss: cross-entropy of each mini-batch, in nats.
        snapshot_accuracy: validation accuracy (fraction) of the weights that each snapshot shows.
        snapshot_seconds: training time up to each snapshot, validation excluded.
        epoch_accuracy: validation accuracy (fraction) after each whole epoch.
        final_accuracy: test accuracy (fraction) at the end of the recipe, where the run went that far.
    """

    train_loss: list[float] = field(default_factory=list)
    snapshot_accuracy: list[float] = field(default_factory=list)
    snapshot_seconds: list[float] = field(default_factory=list)
    epoch_accuracy: list[float] = field(default_factory=list)
    final_accuracy: float | None = None

    def seconds(self, num_snapshots: int) -> float:
        """Training time up to this snapshot, or up to the last of a run that went less far."""
        return float(self.snapshot_seconds[:num_snapshots][-1])
