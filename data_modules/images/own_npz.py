"""Your own images, in one `.npz` file."""

import zipfile
import zlib
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from data_modules.images.image_set import ImageSet, channel_statistics
from data_modules.images.own_options import check_options
from nap2.errors import DataFileError
from nap2.seeding import generator


def read_npz(
    path: Path | str,
    name: str,
    num_classes: int,
    test_fraction: float = 0.2,
    split_seed: int = 0,
    crop_padding: int = 0,
    flip: bool = False,
) -> ImageSet:
    """Images from arrays `images`, `labels` and, if there are any, `test_images`, `test_labels`.

    Args:
        path: the file. Images are uint8 `[N, H, W]` (grey) or `[N, H, W, 1 or 3]`; labels integers from 0.
        name: what results call the set.
        num_classes: labels run from 0 to `num_classes - 1`.
        test_fraction: without test arrays, this part of the images is set aside …
        split_seed: … by this seed.
        crop_padding: see `ImageSet`.
        flip: see `ImageSet`.

    Raises:
        DataFileError: if the file is missing, damaged, or its arrays are not as above.
        ConfigError: if another argument cannot be what it is.
    """
    check_options(test_fraction, split_seed, crop_padding, flip)
    path = Path(path)
    arrays = _load(name, path)
    images, labels = _images(name, path, arrays, "images"), _labels(name, path, arrays, "labels")
    if "test_images" in arrays:
        test_images, test_labels = (
            _images(name, path, arrays, "test_images"),
            _labels(name, path, arrays, "test_labels"),
        )
    else:
        train, test = split_indices(name, len(labels), test_fraction, split_seed)
        images, labels, test_images, test_labels = images[train], labels[train], images[test], labels[test]
    mean, std = channel_statistics(images)
    return ImageSet(
        name, images, labels, test_images, test_labels, num_classes, mean, std, crop_padding=crop_padding, flip=flip
    )


def split_indices(name: str, num_images: int, test_fraction: float, split_seed: int) -> tuple[Tensor, Tensor]:
    """Sorted indices of training and test images: a function of the name, the number of images and the seed.

    Raises:
        DataFileError: if one of the two would be empty.
    """
    num_test = round(num_images * test_fraction)
    if not 0 < num_test < num_images:
        raise DataFileError(
            f"{name}: test_fraction={test_fraction} of {num_images} images leaves nothing to train or to test on; "
            "add images, or give a test set."
        )
    order = torch.randperm(num_images, generator=generator(name, "split", split_seed))
    return order[num_test:].sort().values, order[:num_test].sort().values


def _load(name: str, path: Path) -> dict[str, np.ndarray]:
    if not path.is_file():
        raise DataFileError(f"{name}: no file at {path.absolute()}; set dataset.reader.path to your .npz.")
    try:
        with np.load(path, allow_pickle=False) as file:
            return {key: file[key] for key in file.files}
    except (
        zipfile.BadZipFile,
        zlib.error,
        ValueError,
        OSError,
        EOFError,
        AttributeError,
        TypeError,
        RuntimeError,
    ) as error:
        raise DataFileError(
            f"{name}: {path.absolute()} cannot be read as .npz ({error}); write it again with np.savez(path, "
            "images=…, labels=…)."
        ) from error


def _array(name: str, path: Path, arrays: dict[str, np.ndarray], key: str) -> np.ndarray:
    if key not in arrays:
        raise DataFileError(
            f"{name}: {path.absolute()} has no array {key!r}, only {', '.join(sorted(arrays)) or 'none'}; it needs "
            "images and labels, and may have test_images and test_labels."
        )
    return arrays[key]


def _images(name: str, path: Path, arrays: dict[str, np.ndarray], key: str) -> Tensor:
    """uint8 `[N, 3, H, W]`."""
    array = _array(name, path, arrays, key)
    if array.ndim == 3:
        array = array[..., None]
    if array.dtype != np.uint8 or array.ndim != 4 or array.shape[3] not in (1, 3):
        raise DataFileError(
            f"{name}: {key} in {path.absolute()} is {array.dtype} {list(array.shape)}; expected uint8 [N, H, W] or "
            "[N, H, W, 1 or 3]."
        )
    images = torch.from_numpy(np.ascontiguousarray(array.transpose(0, 3, 1, 2)))
    return images.expand(-1, 3, -1, -1).contiguous()


def _labels(name: str, path: Path, arrays: dict[str, np.ndarray], key: str) -> Tensor:
    """int64 `[N]`."""
    array = _array(name, path, arrays, key)
    images = arrays[key.replace("labels", "images")]
    if array.dtype.kind not in "iu" or array.shape != images.shape[:1]:
        raise DataFileError(
            f"{name}: {key} in {path.absolute()} is {array.dtype} {list(array.shape)} for {len(images)} images; "
            "expected one integer each."
        )
    return torch.from_numpy(array.astype(np.int64))
