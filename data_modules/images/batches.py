"""The mini-batches of a training run: batch t is a function of (seed, dataset, t) and of nothing else."""

from collections.abc import Iterator
from functools import lru_cache

import torch
from torch import Tensor

from data_modules.images.augmentation import crop_and_flip, normalise
from data_modules.images.image_set import ImageSet
from nap2.seeding import generator

EVAL_BATCH_SIZE = 500


class DeviceImages:
    """An image set on one device, as bytes with the channels last, ready to be cut into batches."""

    def __init__(self, image_set: ImageSet, device: torch.device | str = "cpu") -> None:
        self.image_set, self.device = image_set, torch.device(device)
        self.train_images, self.test_images = self._nhwc(image_set.train_images), self._nhwc(image_set.test_images)
        self.train_labels, self.test_labels = image_set.train_labels.to(device), image_set.test_labels.to(device)
        self.mean = image_set.mean.permute(1, 2, 0).contiguous().to(device)  # [1 or H, 1 or W, C]
        self.std = image_set.std.permute(1, 2, 0).contiguous().to(device)

    def _nhwc(self, images: Tensor) -> Tensor:
        return images.permute(0, 2, 3, 1).contiguous().to(self.device)

    def normalised(self, images: Tensor) -> Tensor:
        """uint8 `[B, H, W, C]` → float32 `[B, C, H, W]`."""
        return self._channels_first(normalise(images, self.mean, self.std))

    def augmented(self, images: Tensor, corners: Tensor, flips: Tensor) -> Tensor:
        """The same with random crops and flips; a mean image is subtracted before them, a channel mean after."""
        padding = self.image_set.crop_padding
        if self.image_set.mean[0].numel() == 1:
            return self.normalised(crop_and_flip(images, corners, flips, padding))
        return self._channels_first(crop_and_flip(normalise(images, self.mean, self.std), corners, flips, padding))

    def _channels_first(self, images: Tensor) -> Tensor:
        """`[B, H, W, C]` → `[B, C, H, W]`; in memory, channels stay last on a CPU and come first on a GPU.

        There a network in channels-last turns what it reads, and one that is not would be turned by what it reads.
        """
        images = images.permute(0, 3, 1, 2)
        return images if self.device.type == "cpu" else images.contiguous()


@lru_cache(maxsize=2)
def images_on(image_set: ImageSet, device: torch.device) -> DeviceImages:
    """The images on a device, made once for all candidates of a process."""
    return DeviceImages(image_set, device)


class TrainBatches:
    """Batches `start..stop - 1` of a run, as an iterable that can be walked again; the last of an epoch may be smaller.

    Each batch: float32 `[B, 3, H, W]` (channels last in memory on a CPU) and int64 `[B]`, on the images' device.
    """

    def __init__(self, images: DeviceImages, batch_size: int, seed: int, start: int, stop: int) -> None:
        self.images, self.batch_size, self.seed, self.start, self.stop = images, batch_size, seed, start, stop
        self.num_images = len(images.train_labels)
        self.batches_per_epoch = -(-self.num_images // batch_size)
        self._order = lru_cache(maxsize=1)(self._draw_order)

    def __len__(self) -> int:
        return max(self.stop - self.start, 0)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        return (self.batch(step) for step in range(self.start, self.stop))

    def batch(self, step: int) -> tuple[Tensor, Tensor]:
        """Batch number `step`, counted from 0 over all epochs."""
        epoch, position = divmod(step, self.batches_per_epoch)
        indices = self._order(epoch)[position * self.batch_size : (position + 1) * self.batch_size]
        indices = indices.to(self.images.device, non_blocking=True)
        images = self.images.train_images.index_select(0, indices)
        labels = self.images.train_labels.index_select(0, indices)
        image_set = self.images.image_set
        if not (image_set.crop_padding or image_set.flip):
            return self.images.normalised(images), labels
        corners, flips = (drawn.to(self.images.device, non_blocking=True) for drawn in self._draw(step, len(labels)))
        return self.images.augmented(images, corners, flips), labels

    # All draws are made on the CPU, so that a run does not depend on the device.
    def _draw_order(self, epoch: int) -> Tensor:
        random = generator(self.seed, self.images.image_set.name, "order", epoch)
        return torch.randperm(self.num_images, generator=random)

    def _draw(self, step: int, size: int) -> tuple[Tensor, Tensor]:
        """Corners int64 `[B, 2]` and flips bool `[B]`."""
        image_set = self.images.image_set
        random = generator(self.seed, image_set.name, "augmentation", step)
        corners = torch.randint(2 * image_set.crop_padding + 1, (size, 2), generator=random)
        flips = torch.rand(size, generator=random) < (0.5 if image_set.flip else 0.0)
        return corners, flips


class EvalBatches:
    """Chosen test images in batches, normalised, never augmented; walks again from the start each time."""

    def __init__(self, images: DeviceImages, indices: Tensor | None, batch_size: int = EVAL_BATCH_SIZE) -> None:
        self.images, self.batch_size = images, batch_size
        self.indices = None if indices is None else indices.to(images.device)
        self.num_images = len(images.test_labels) if indices is None else len(indices)

    def __len__(self) -> int:
        return -(-self.num_images // self.batch_size)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        for start in range(0, self.num_images, self.batch_size):
            rows: slice | Tensor = slice(start, start + self.batch_size)
            if self.indices is not None:
                rows = self.indices[rows]
            yield self.images.normalised(self.images.test_images[rows]), self.images.test_labels[rows]
