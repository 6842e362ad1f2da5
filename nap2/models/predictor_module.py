"""Fitting the predictor (App. C.2.4)."""

from lightning.pytorch import LightningModule
from lightning.pytorch.utilities.types import OptimizerLRSchedulerConfig
from torch import Tensor
from torch.optim import Adam
from torch.optim.lr_scheduler import OneCycleLR
from torchmetrics import KendallRankCorrCoef

from nap2.models.bigru import BiGRUPredictor
from nap2.models.losses import loss_named
from nap2.models.prefix_sharing import predict_prefixes
from nap2.models.snapshot_mlp import SnapshotMLP

Batch = tuple[Tensor, Tensor, Tensor]


class PredictorModule(LightningModule):
    """Fit `net` to final accuracies. Batch: trajectory `[B, T, D]`, lengths `[B]`, accuracy `[B]` in [0, 1].

    Args:
        net: a predictor.
        lr: learning rate given to Adam; the one-cycle schedule replaces it from the first step on.
        max_lr: peak of the schedule.
        loss: a name in `nap2.models.losses.LOSSES`.
        prefix_sharing: train on every prefix of each trajectory of the batch (see `prefix_sharing.py`); the data
            module must then give whole trajectories.
    """

    def __init__(
        self,
        net: BiGRUPredictor | SnapshotMLP,
        lr: float = 1e-3,
        max_lr: float = 3e-3,
        loss: str = "l1",
        prefix_sharing: bool = False,
    ) -> None:
        super().__init__()
        self.save_hyperparameters(ignore="net")
        self.net, self.loss = net, loss_named(loss)
        self.tau = KendallRankCorrCoef(variant="b")

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Loss of one batch."""
        trajectory, lengths, accuracy = batch
        if self.hparams["prefix_sharing"]:
            assert isinstance(self.net, BiGRUPredictor)
            prefixes = predict_prefixes(self.net, trajectory, lengths)
            predicted, target = prefixes.accuracy, accuracy[prefixes.architecture.to(accuracy.device)]
        else:
            predicted, target = self.net(trajectory, lengths), accuracy
        loss = self.loss(predicted, target)
        self.log("train/loss", loss, on_step=False, on_epoch=True, batch_size=len(target))
        return loss

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Log loss and Kendall's tau-b at the lengths of the batch."""
        trajectory, lengths, accuracy = batch
        predicted = self.net(trajectory, lengths)
        self.log("val/loss", self.loss(predicted, accuracy), on_epoch=True, batch_size=len(accuracy))
        self.tau.update(predicted, accuracy)

    def on_validation_epoch_end(self) -> None:
        """Log tau over the whole split; undefined for a single architecture."""
        if sum(len(part) for part in self.tau.preds) > 1:
            tau = self.tau.compute()
            assert isinstance(tau, Tensor)
            self.log("val/tau", tau)
        self.tau.reset()

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        """Adam under one cycle over all steps of the fit."""
        options = self.hparams
        optimizer = Adam(self.net.parameters(), lr=options["lr"], fused=True)
        steps = int(self.trainer.estimated_stepping_batches)
        cycle = OneCycleLR(optimizer, max_lr=options["max_lr"], total_steps=steps)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": cycle, "interval": "step"}}
