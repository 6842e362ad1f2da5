"""SVHN, cropped digits (Netzer et al. 2011), from the official MATLAB files."""

import zlib
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from data_modules.images.image_set import ImageSet
from data_modules.images.sources import Source, check_counts, damaged, locate, missing, source_of

FOLDERS = ("svhn", "SVHN")
TRAIN_FILE, TEST_FILE = "train_32x32.mat", "test_32x32.mat"


def read_svhn(root: Path | str, name: str = "svhn") -> ImageSet:
    """SVHN below `root`, or the part of it called `svhn-6k`; scaled to [−1, 1], not augmented (App. D.2, D.3).

    Raises:
        DataFileError: if a file is missing, damaged, or holds another number of images than `name` says.
        UnknownNameError: for another `name`.
    """
    source = source_of(name, ("svhn", "svhn-6k"))
    folder = locate(root, FOLDERS, TRAIN_FILE)
    if folder is None:
        raise missing(source, root, FOLDERS[:1], TRAIN_FILE)
    train_images, train_labels = _read_file(source, folder / TRAIN_FILE)
    test_images, test_labels = _read_file(source, folder / TEST_FILE)
    check_counts(source, folder, train_labels, test_labels)
    half = torch.full((3, 1, 1), 0.5)
    return ImageSet(
        source.name, train_images, train_labels, test_images, test_labels, source.num_classes, mean=half, std=half
    )


def _read_file(source: Source, path: Path) -> tuple[Tensor, Tensor]:
    """uint8 `[N, 3, 32, 32]` and int64 `[N]`; the files hold `X [32, 32, 3, N]` and `y [N, 1]` in 1..10."""
    from scipy.io import loadmat
    from scipy.io.matlab import MatReadError

    if not path.is_file():
        raise missing(source, path.parent, (), path.name)
    try:
        content = loadmat(path, variable_names=("X", "y"))
        pixels, labels = content["X"], content["y"].astype(np.int64).flatten()
    # scipy reports damage by whatever its parser stumbles over.
    except (
        MatReadError,
        OSError,
        ValueError,
        TypeError,
        KeyError,
        IndexError,
        NotImplementedError,
        zlib.error,
    ) as error:
        raise damaged(source, path, f"{type(error).__name__}: {error}") from error
    if pixels.dtype != np.uint8 or pixels.shape != (32, 32, 3, len(labels)):
        raise damaged(source, path, f"X is {pixels.dtype} {list(pixels.shape)} for {len(labels)} labels")
    if len(labels) and not (labels.min() >= 1 and labels.max() <= 10):
        raise damaged(source, path, f"labels run from {labels.min()} to {labels.max()}, expected 1 to 10")
    images = torch.from_numpy(np.ascontiguousarray(pixels.transpose(3, 2, 0, 1)))
    return images, torch.from_numpy(labels % 10)  # the digit 0 is labelled 10
