"""The LightningModule of a candidate: cross-entropy, the recipe's optimizer, its learning rate per epoch."""

import torch
from lightning.pytorch import LightningModule
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.optim.lr_scheduler import LambdaLR

from nap2.training.recipe import Recipe

Batch = tuple[Tensor, Tensor]


class CandidateModule(LightningModule):
    """Train `network` to classify. Batch: images `[B, C, H, W]`, labels int64 `[B]`; the network returns logits.

    Nothing is logged: `CurveCallback` keeps the losses, and measures accuracy where the run is not disturbed by it.

    Args:
        network: the built network.
        recipe: how it is trained; the caller cuts the batches.
        batches_per_epoch: when the learning rate changes.
        first_step: optimizer steps that were taken before, in an earlier process.
    """

    def __init__(self, network: nn.Module, recipe: Recipe, batches_per_epoch: int, first_step: int = 0) -> None:
        super().__init__()
        self.network, self.recipe = network, recipe
        self.batches_per_epoch, self.first_step = batches_per_epoch, first_step

    def transfer_batch_to_device(self, batch: Batch, device: torch.device, dataloader_idx: int) -> Batch:
        """Batches cut on the training device stay as they are, without Lightning's walk through them."""
        images, labels = batch
        return images.to(device), labels.to(device)

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """The loss of one mini-batch."""
        images, labels = batch
        return cross_entropy(self.network(images), labels)

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """The recipe's optimizer; its learning rate is a function of the absolute step, so that a run can resume."""
        optimizer = self.recipe.build_optimizer(self.network.parameters())
        scheduler = LambdaLR(optimizer, self._lr_factor)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}

    def _lr_factor(self, steps_here: int) -> float:
        epoch = (self.first_step + steps_here) // self.batches_per_epoch
        return self.recipe.learning_rate(epoch) / self.recipe.lr
