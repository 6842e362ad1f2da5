"""Fitting an autoencoder (App. C.1.4)."""

from functools import partial

import torch
from lightning.pytorch import LightningModule
from lightning.pytorch.utilities.types import OptimizerLRSchedulerConfig
from torch import Tensor, nn
from torch.nn import functional
from torch.optim import Adam
from torch.optim.lr_scheduler import LambdaLR

WARMUP_START = 1e-6


class CAEModule(LightningModule):
    """Fit `net` to reproduce log-normalised maps. Batch: `[B, 12, 65, 100]`, cast to the dtype of `net`.

    Args:
        net: an autoencoder.
        lr: learning rate of Adam after the warm-up.
        warmup_epochs: epochs in which the rate rises linearly, from 1e-6.
        step_size: epochs after which the rate falls, counted from the end of the warm-up.
        gamma: factor by which it falls.
    """

    def __init__(
        self, net: nn.Module, lr: float = 1e-3, warmup_epochs: int = 5, step_size: int = 20, gamma: float = 0.15
    ) -> None:
        super().__init__()
        self.save_hyperparameters(ignore="net")
        self.net = net

    def training_step(self, batch: Tensor, batch_idx: int) -> Tensor:
        """Loss of one batch."""
        return self._step(batch, "train")

    def validation_step(self, batch: Tensor, batch_idx: int) -> None:
        """Log the loss of one batch."""
        self._step(batch, "val")

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        """Adam, fused: on a CPU the usual one takes a quarter of the step for 18 M parameters."""
        options = self.hparams
        optimizer = Adam(self.net.parameters(), lr=options["lr"], fused=True)
        factor = partial(
            learning_rate_factor,
            start=WARMUP_START / options["lr"],
            warmup_epochs=options["warmup_epochs"],
            step_size=options["step_size"],
            gamma=options["gamma"],
        )
        return {"optimizer": optimizer, "lr_scheduler": LambdaLR(optimizer, factor)}

    def _step(self, maps: Tensor, split: str) -> Tensor:
        dtype = next(self.net.parameters()).dtype
        maps = maps.to(dtype, memory_format=torch.channels_last)  # statistics innermost, as the reconstruction has them
        loss = reconstruction_loss(self.net(maps), maps)
        self.log(f"{split}/loss", loss, on_step=False, on_epoch=True, batch_size=len(maps))
        return loss


def reconstruction_loss(reconstruction: Tensor, maps: Tensor) -> Tensor:
    """Squared error summed over each map, averaged over the batch (equation 18)."""
    return functional.mse_loss(reconstruction, maps, reduction="sum") / len(maps)


def learning_rate_factor(epoch: int, start: float, warmup_epochs: int, step_size: int, gamma: float) -> float:
    """By what the learning rate is multiplied in an epoch, counted from 0."""
    if epoch < warmup_epochs:
        return start + (1.0 - start) * epoch / warmup_epochs
    return float(gamma ** ((epoch - warmup_epochs) // step_size))
