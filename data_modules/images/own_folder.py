"""Your own images: one folder per class."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from data_modules.images.image_set import ImageSet, channel_statistics
from data_modules.images.own_npz import split_indices
from data_modules.images.own_options import check_options
from nap2.errors import DataFileError

SUFFIXES = frozenset({".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"})
TRAINING = frozenset({"train", "training"})
"""What people call the folder of one split; a class of trains holds images itself."""
DEEP = ("I", "F")
"""How Pillow's modes of 16 and 32 bits a pixel begin."""


def read_folder(
    root: Path | str,
    name: str,
    num_classes: int,
    image_size: int | None = None,
    test_fraction: float = 0.2,
    split_seed: int = 0,
    crop_padding: int = 0,
    flip: bool = False,
) -> ImageSet:
    """Images in `root/train/<class>/…` and `root/test/<class>/…`, or in `root/<class>/…` alone.

    Classes are the sorted folder names; images are read as RGB in the order of their names.

    Args:
        root: the folder.
        name: what results call the set.
        num_classes: how many class folders there are.
        image_size: resize every image to this height and width; None demands that all have one size already.
        test_fraction: without a `test` folder, this part of the images is set aside …
        split_seed: … by this seed.
        crop_padding: see `ImageSet`.
        flip: see `ImageSet`.

    Raises:
        DataFileError: if the folder, a class or an image is missing or damaged, or images differ in size.
        ConfigError: if another argument cannot be what it is.
    """
    check_options(test_fraction, split_seed, crop_padding, flip, image_size)
    root = Path(root)
    has_test = (root / "train").is_dir() and (root / "test").is_dir()
    train_root = root / "train" if has_test else root
    classes = _class_names(name, train_root, num_classes)
    images, labels = _read_split(name, train_root, classes, image_size)
    if has_test:
        test_images, test_labels = _read_split(name, root / "test", classes, image_size)
    else:
        train, test = split_indices(name, len(labels), test_fraction, split_seed)
        images, labels, test_images, test_labels = images[train], labels[train], images[test], labels[test]
    mean, std = channel_statistics(images)
    return ImageSet(
        name, images, labels, test_images, test_labels, num_classes, mean, std, crop_padding=crop_padding, flip=flip
    )


def _class_names(name: str, root: Path, num_classes: int) -> list[str]:
    if not root.is_dir():
        raise DataFileError(
            f"{name}: no folder at {root.absolute()}; set dataset.reader.root to a folder that holds one folder of "
            "images per class."
        )
    classes = _folders(root)
    for part in (root / class_name for class_name in classes if class_name.lower() in TRAINING):
        if not any(path.suffix.lower() in SUFFIXES for path in part.iterdir()) and (inside := _folders(part)):
            raise DataFileError(
                f"{name}: {part.absolute()} holds folders ({', '.join(inside[:5])}), so it is no class but a split; "
                "name the two train and test, or give a folder whose folders are the classes."
            )
    if len(classes) != num_classes:
        raise DataFileError(
            f"{name}: {root.absolute()} holds {len(classes)} class folders ({', '.join(classes[:5]) or 'none'}…), but "
            f"num_classes is {num_classes}; correct one of them."
        )
    return classes


def _folders(root: Path) -> list[str]:
    return sorted(path.name for path in root.iterdir() if path.is_dir() and not path.name.startswith("."))


def _read_split(name: str, root: Path, classes: Sequence[str], image_size: int | None) -> tuple[Tensor, Tensor]:
    """uint8 `[N, 3, H, W]` and int64 `[N]`."""
    if unknown := set(_folders(root)) - set(classes):
        raise DataFileError(f"{name}: {root.absolute()} has classes that training lacks: {', '.join(sorted(unknown))}.")
    images: list[np.ndarray] = []
    labels: list[int] = []
    first = None
    for label, class_name in enumerate(classes):
        for path in _image_files(name, root / class_name):
            images.append(_read_image(name, path, image_size))
            labels.append(label)
            first = first or path
            if images[-1].shape != images[0].shape:
                raise DataFileError(
                    f"{name}: {path.absolute()} is {_size(images[-1])}, but {first} is {_size(images[0])}; set "
                    "dataset.reader.image_size to resize them all."
                )
    return torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2).contiguous(), torch.tensor(labels)


def _image_files(name: str, folder: Path) -> list[Path]:
    """All in the order of their names, but what other programs hide there: thumbnails, copies, a Mac's notes."""
    found = folder.rglob("*") if folder.is_dir() else ()
    files = sorted(
        path
        for path in found
        if path.suffix.lower() in SUFFIXES and not any(p.startswith(".") for p in path.relative_to(folder).parts)
    )
    if not files:
        raise DataFileError(f"{name}: no image in {folder.absolute()}; every class needs one of {sorted(SUFFIXES)}.")
    return files


def _read_image(name: str, path: Path, image_size: int | None) -> np.ndarray:
    """uint8 `[H, W, 3]`."""
    from PIL import Image

    try:
        with Image.open(path) as file:
            mode, image = file.mode, file.convert("RGB")
    except (Image.DecompressionBombError, OSError, SyntaxError, ValueError) as error:
        raise DataFileError(f"{name}: {path.absolute()} cannot be read ({error}); replace or remove it.") from error
    if mode.startswith(DEEP):  # such pixels were cut off at 255 just now, which leaves a white image
        raise DataFileError(
            f"{name}: {path.absolute()} has more than 8 bits a pixel (mode {mode}); scale it to 0..255 and save it "
            "with 8 bits."
        )
    if image_size is not None:
        image = image.resize((image_size, image_size), Image.Resampling.BILINEAR)
    return np.asarray(image)


def _size(image: np.ndarray) -> str:
    return f"{image.shape[0]}×{image.shape[1]}"
