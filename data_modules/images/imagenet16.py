"""ImageNet16-120: the first 120 classes of downsampled ImageNet at 16×16 (Chrabaszcz et al. 2017; Dong & Yang 2020)."""

import pickle
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from data_modules.images.image_set import ImageSet
from data_modules.images.restricted_pickle import load_arrays
from data_modules.images.sources import Source, check_counts, damaged, locate, missing, source_of

FOLDERS = ("ImageNet16", "imagenet16")
TRAIN_FILES = tuple(f"train_data_batch_{i}" for i in range(1, 11))
TEST_FILE = "val_data"
PIXELS = 3 * 16 * 16
CROP_PADDING = 2  # App. D.3, Table 17


def read_imagenet16(root: Path | str, name: str = "imagenet16-120") -> ImageSet:
    """ImageNet16-120 below `root`, or its stand-in `tinyimagenet16-120`.

    The mean of the training images is subtracted before they are flipped and cropped (App. D.2, D.3), so that the
    padding of a crop is the mean image's zero.

    Raises:
        DataFileError: if a file is missing, damaged, or holds another number of images than `name` says.
        UnknownNameError: for another `name`.
    """
    source = source_of(name, ("imagenet16-120", "tinyimagenet16-120"))
    folder = locate(root, FOLDERS, TRAIN_FILES[0])
    if folder is None:
        raise missing(source, root, FOLDERS[:1], TRAIN_FILES[0])
    parts = [_read_file(source, folder / file) for file in (*TRAIN_FILES, TEST_FILE)]
    train_images = torch.cat([images for images, _ in parts[:-1]])
    train_labels = torch.cat([labels for _, labels in parts[:-1]])
    test_images, test_labels = parts[-1]
    check_counts(source, folder, train_labels, test_labels)
    return ImageSet(
        name=source.name,
        train_images=train_images,
        train_labels=train_labels,
        test_images=test_images,
        test_labels=test_labels,
        num_classes=source.num_classes,
        mean=mean_image(train_images),
        std=torch.ones(3, 1, 1),
        crop_padding=CROP_PADDING,
        flip=True,
    )


def mean_image(images: Tensor) -> Tensor:
    """float32 `[C, H, W]`, the mean of uint8 `[N, C, H, W]` as a fraction of full scale."""
    return (images.sum(0, dtype=torch.int64).double() / (255 * len(images))).float()


def _read_file(source: Source, path: Path) -> tuple[Tensor, Tensor]:
    """uint8 `[N, 3, 16, 16]` and int64 `[N]` of the first 120 classes; the files count labels from 1."""
    if not path.is_file():
        raise missing(source, path.parent, (), path.name)
    try:
        content = load_arrays(path)
        pixels, labels = np.asarray(content["data"]), np.asarray(content["labels"], dtype=np.int64)
    except (pickle.UnpicklingError, KeyError, ValueError, TypeError) as error:
        raise damaged(source, path, str(error)) from error
    if pixels.dtype != np.uint8 or pixels.shape != (len(labels), PIXELS):
        raise damaged(source, path, f"data is {pixels.dtype} {list(pixels.shape)} for {len(labels)} labels")
    if len(labels) and not (labels.min() >= 1 and labels.max() <= 1000):
        raise damaged(source, path, f"labels run from {labels.min()} to {labels.max()}, expected 1 to 1000")
    kept = labels <= source.num_classes
    return torch.from_numpy(pixels[kept]).view(-1, 3, 16, 16), torch.from_numpy(labels[kept] - 1)
