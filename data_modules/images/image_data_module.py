"""The LightningDataModule of candidates: bytes on the training device, augmented a batch at a time."""

from typing import Self

import torch
from lightning.pytorch import LightningDataModule
from torch import Tensor

from data_modules.images.batches import DeviceImages, EvalBatches, TrainBatches, images_on
from data_modules.images.image_set import ImageSet
from nap2.errors import ConfigError
from nap2.seeding import generator

NUM_VALIDATION = 2_000
"""Test images on which the accuracy at a snapshot is measured."""


class ImageDataModule(LightningDataModule):
    """Training batches `start_step..start_step + num_steps - 1` of a seed, and the test images.

    Validation uses a fixed part of the test images, the same for every candidate of a dataset.

    Args:
        image_set: what a reader returned.
        batch_size: images of a training batch; an epoch's last one holds what is left.
        seed: decides order, crops and flips, together with the dataset's name.
        start_step: first batch, counted from 0 over all epochs.
        num_steps: how many batches; None for as many as an epoch has.
        device: where the images are held; None: the trainer's device, or the CPU without a trainer.

    Raises:
        ConfigError: if a number is out of range.
    """

    def __init__(
        self,
        image_set: ImageSet,
        batch_size: int,
        seed: int,
        start_step: int = 0,
        num_steps: int | None = None,
        device: torch.device | str | None = None,
    ) -> None:
        super().__init__()
        if batch_size < 1 or start_step < 0 or (num_steps is not None and num_steps < 0):
            raise ConfigError(f"batch_size={batch_size}, start_step={start_step}, num_steps={num_steps}: too small.")
        self.image_set, self.batch_size, self.seed = image_set, batch_size, seed
        self.start_step, self.device = start_step, device
        self.batches_per_epoch = -(-len(image_set.train_labels) // batch_size)
        self.num_steps = self.batches_per_epoch if num_steps is None else num_steps

    @property
    def name(self) -> str:
        """The dataset's name."""
        return self.image_set.name

    @property
    def num_classes(self) -> int:
        """Classes of the dataset."""
        return self.image_set.num_classes

    def for_run(self, seed: int, start_step: int, num_steps: int, device: torch.device | str) -> Self:
        """The same images, shared and not copied, for another part of another run."""
        return type(self)(self.image_set, self.batch_size, seed, start_step, num_steps, device)

    def setup(self, stage: str | None = None) -> None:
        """Put the images on the device, once."""
        self._images()

    def train_dataloader(self) -> TrainBatches:
        """Augmented batches in the order of the run."""
        return TrainBatches(
            self._images(), self.batch_size, self.seed, self.start_step, self.start_step + self.num_steps
        )

    def val_dataloader(self) -> EvalBatches:
        """The fixed validation images (2,000, or all test images where there are fewer)."""
        return EvalBatches(self._images(), validation_indices(self.name, len(self.image_set.test_labels)))

    def test_dataloader(self) -> EvalBatches:
        """All test images."""
        return EvalBatches(self._images(), None)

    def _images(self) -> DeviceImages:
        return images_on(
            self.image_set, torch.device(self.device or (self.trainer.strategy.root_device if self.trainer else "cpu"))
        )


def validation_indices(dataset: str, num_test: int, size: int = NUM_VALIDATION) -> Tensor | None:
    """Sorted int64 `[size]` indices into the test images, a function of the dataset's name; None means all."""
    if num_test <= size:
        return None
    return torch.randperm(num_test, generator=generator(dataset, "validation"))[:size].sort().values
