"""CIFAR-10 and CIFAR-100 (Krizhevsky 2009), from the binary or the python layout of the official archives."""

import pickle
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from data_modules.images.image_set import ImageSet
from data_modules.images.restricted_pickle import load_arrays
from data_modules.images.sources import Source, check_counts, damaged, locate, missing, source_of

PIXELS = 3 * 32 * 32
CROP_PADDING = 4  # App. D.3, Table 17


@dataclass(frozen=True)
class _Layout:
    """Where one flavour of the archive keeps its images and labels."""

    folder: str
    train_files: Sequence[str]
    test_file: str
    label_key: str | None = None  # python layout
    label_bytes: int = 1  # binary layout: bytes before the pixels; the last one is the label


_CIFAR10 = (
    _Layout("cifar-10-batches-bin", [f"data_batch_{i}.bin" for i in range(1, 6)], "test_batch.bin"),
    _Layout("cifar-10-batches-py", [f"data_batch_{i}" for i in range(1, 6)], "test_batch", label_key="labels"),
)
_CIFAR100 = (
    _Layout("cifar-100-binary", ["train.bin"], "test.bin", label_bytes=2),  # coarse, then fine label
    _Layout("cifar-100-python", ["train"], "test", label_key="fine_labels"),
)


def read_cifar10(root: Path | str, name: str = "cifar10") -> ImageSet:
    """CIFAR-10 below `root`; normalised and augmented as in App. D.2 and D.3.

    Raises:
        DataFileError: if a file is missing, damaged, or the set is not complete.
    """
    source = source_of(name, ("cifar10",))
    return _read(source, root, _CIFAR10, mean=(0.4914, 0.4822, 0.4465), std=(0.2470, 0.2430, 0.2610))


def read_cifar100(root: Path | str, name: str = "cifar100") -> ImageSet:
    """CIFAR-100 (fine labels) below `root`, or the part of it called `cifar100-25k`.

    Raises:
        DataFileError: if a file is missing, damaged, or holds another number of images than `name` says.
        UnknownNameError: for another `name`.
    """
    source = source_of(name, ("cifar100", "cifar100-25k"))
    return _read(source, root, _CIFAR100, mean=(0.5071, 0.4867, 0.4408), std=(0.2675, 0.2565, 0.2761))


def _read(
    source: Source, root: Path | str, layouts: Sequence[_Layout], mean: Sequence[float], std: Sequence[float]
) -> ImageSet:
    folders = [layout.folder for layout in layouts]
    for layout in layouts:
        folder = locate(root, [layout.folder], layout.train_files[0])
        if folder is not None:
            break
    else:
        raise missing(source, root, folders, layouts[0].train_files[0])
    parts = [_read_file(source, folder, file, layout) for file in (*layout.train_files, layout.test_file)]
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
        mean=torch.tensor(mean)[:, None, None],
        std=torch.tensor(std)[:, None, None],
        crop_padding=CROP_PADDING,
        flip=True,
    )


def _read_file(source: Source, folder: Path, file: str, layout: _Layout) -> tuple[Tensor, Tensor]:
    """uint8 `[N, 3, 32, 32]` and int64 `[N]`."""
    path = folder / file
    if not path.is_file():
        raise missing(source, folder, (), file)
    read = _from_binary if layout.label_key is None else _from_pickle
    pixels, labels = read(source, path, layout)
    if len(labels) and (labels.min() < 0 or labels.max() >= source.num_classes):
        raise damaged(source, path, f"a label of {labels.min()} or {labels.max()}")
    return torch.from_numpy(pixels).view(-1, 3, 32, 32), torch.from_numpy(labels)


def _from_binary(source: Source, path: Path, layout: _Layout) -> tuple[np.ndarray, np.ndarray]:
    content, record = np.fromfile(path, dtype=np.uint8), layout.label_bytes + PIXELS
    if not len(content) or len(content) % record:
        raise damaged(source, path, f"{len(content):,} bytes are no whole number of {record}-byte images")
    records = content.reshape(-1, record)
    return np.ascontiguousarray(records[:, layout.label_bytes :]), records[:, layout.label_bytes - 1].astype(np.int64)


def _from_pickle(source: Source, path: Path, layout: _Layout) -> tuple[np.ndarray, np.ndarray]:
    try:
        content = load_arrays(path)
        pixels, labels = np.asarray(content["data"]), np.asarray(content[layout.label_key], dtype=np.int64)
    except (pickle.UnpicklingError, KeyError, ValueError, TypeError) as error:
        raise damaged(source, path, str(error)) from error
    if pixels.dtype != np.uint8 or pixels.shape != (len(labels), PIXELS):
        raise damaged(source, path, f"data is {pixels.dtype} {list(pixels.shape)} for {len(labels)} labels")
    return np.ascontiguousarray(pixels), labels
