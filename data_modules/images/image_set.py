"""What every reader returns: images as bytes, labels, and how they are normalised and augmented."""

from dataclasses import dataclass

import torch
from torch import Tensor

from nap2.errors import DataFileError


@dataclass(frozen=True, eq=False)
class ImageSet:
    """A dataset in memory.

    Attributes:
        name: what results call it; a partial set or a stand-in has its own.
        train_images: uint8 `[N, 3, H, W]`.
        train_labels: int64 `[N]` in `0..num_classes - 1`.
        test_images: uint8 `[N, 3, H, W]`, of the same height and width.
        test_labels: int64 `[N]`.
        num_classes: also where a class happens to have no image.
        mean: float32 `[3, 1, 1]`, or `[3, H, W]` for a mean image; a fraction of full scale.
        std: float32 `[3, 1, 1]`, a fraction of full scale.
        crop_padding: zeros on each side before a random crop of the original size; 0 means no crop.
        flip: whether training images are mirrored left to right half of the time.

    Raises:
        DataFileError: if shapes, dtypes or labels are not as above.
    """

    name: str
    train_images: Tensor
    train_labels: Tensor
    test_images: Tensor
    test_labels: Tensor
    num_classes: int
    mean: Tensor
    std: Tensor
    crop_padding: int = 0
    flip: bool = False

    def __post_init__(self) -> None:
        for split, images, labels in (
            ("training", self.train_images, self.train_labels),
            ("test", self.test_images, self.test_labels),
        ):
            self._check(split, images, labels)
        if self.train_images.shape[1:] != self.test_images.shape[1:]:
            raise DataFileError(
                f"{self.name}: training images are {_size(self.train_images)}, test images "
                f"{_size(self.test_images)}; bring them to one size."
            )

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """`(3, H, W)`."""
        channels, height, width = self.train_images.shape[1:]
        return channels, height, width

    def _check(self, split: str, images: Tensor, labels: Tensor) -> None:
        if images.dtype != torch.uint8 or images.dim() != 4 or images.shape[1] != 3 or not len(images):
            raise DataFileError(
                f"{self.name}: {split} images are {images.dtype} {list(images.shape)}, expected uint8 [N, 3, H, W] "
                "with N ≥ 1."
            )
        if labels.shape != images.shape[:1] or labels.dtype != torch.int64:
            raise DataFileError(
                f"{self.name}: {len(images)} {split} images have labels of shape {list(labels.shape)} "
                f"({labels.dtype}); expected one int64 label each."
            )
        if labels.min() < 0 or labels.max() >= self.num_classes:
            raise DataFileError(
                f"{self.name}: {split} labels run from {int(labels.min())} to {int(labels.max())}, expected 0 to "
                f"{self.num_classes - 1}; the file is damaged or holds other classes."
            )


def channel_statistics(images: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and population standard deviation of each channel, as fractions of full scale.

    Args:
        images: uint8 `[N, C, H, W]`.

    Returns:
        float32 `[C, 1, 1]` twice. A channel that never changes gets the standard deviation 1.
    """
    # Histograms keep the sums exact and need no float copy of the images.
    counts = torch.stack([torch.bincount(channel.flatten(), minlength=256) for channel in images.transpose(0, 1)])
    levels = torch.arange(256, dtype=torch.float64) / 255
    weights = counts.double() / counts.sum(1, keepdim=True)  # [C, 256]
    mean = weights @ levels
    variance = (weights * (levels - mean[:, None]).square()).sum(1)
    std = torch.where(variance > 0, variance.sqrt(), torch.ones_like(variance))
    return mean.float()[:, None, None], std.float()[:, None, None]


def _size(images: Tensor) -> str:
    return "×".join(map(str, images.shape[1:]))
