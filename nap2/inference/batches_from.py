"""Mini-batches from what a command line names: `module:attribute`, a `.safetensors` or an `.npz` file."""

import zipfile
import zlib
from collections.abc import Collection, Iterable, Mapping, Sized
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, IterableDataset, TensorDataset

from nap2.errors import ConfigError, DataFileError, kind_of
from nap2.inference.batches import Batch
from nap2.inference.importing import import_object, made

SUFFIXES = (".safetensors", ".npz")
ARRAYS = ("images", "labels")


def batches_from(source: str, batch_size: int) -> Iterable[Batch]:
    """A loader of (inputs, class indices).

    Args:
        source: `module:attribute`: a loader, a list of batches, a torch `Dataset`, or what returns one of these when
            called; or a file with `images` `[N, …]` and `labels` `[N]`. Images of uint8 are `[N, H, W]` or
            `[N, H, W, 1 or 3]` and are standardised per channel; floating-point ones are inputs as they stand.
        batch_size: of files and datasets; they are shuffled, but for a dataset that has an order of its own.

    Raises:
        ConfigError, UnknownNameError: if an attribute cannot be had or gives no batches.
        DataFileError: if a file is missing, unreadable, or holds something else.
    """
    if Path(source).suffix in SUFFIXES or ":" not in source:
        return _loader(_dataset(Path(source)), source, batch_size)
    found = import_object(source)
    if not isinstance(found, (Iterable, Dataset)):
        found = made(found, source, seed=0)
    if isinstance(found, Dataset):
        return _loader(found, source, batch_size)
    if not isinstance(found, Iterable) or isinstance(found, (str, Mapping, nn.Module)):
        raise ConfigError(f"{source!r} gives {kind_of(found)}; name a loader, a Dataset, or a list of batches.")
    return found


def _loader(dataset: Dataset[Any], source: str, batch_size: int) -> DataLoader[Any]:
    """Batches of a dataset, in a random order where it lets one choose.

    Raises:
        DataFileError: if it says that it is empty.
    """
    if isinstance(dataset, IterableDataset):
        return DataLoader(dataset, batch_size)
    if not isinstance(dataset, Sized) or not len(dataset):
        raise DataFileError(f"{source} holds no image, or does not say how many (no __len__); give one that does.")
    return DataLoader(dataset, batch_size, shuffle=True)


def _dataset(path: Path) -> TensorDataset:
    if path.suffix not in SUFFIXES:
        raise DataFileError(f"{path} is neither {' nor '.join(SUFFIXES)}, nor of the form module:attribute.")
    if not path.is_file():
        raise DataFileError(f"No data at {path.absolute()}; give a file with images and labels, or module:attribute.")
    arrays = _safetensors(path) if path.suffix == ".safetensors" else _npz(path)
    images, labels = arrays["images"], arrays["labels"]
    if not images.dim() or labels.shape != images.shape[:1] or labels.is_floating_point():
        raise DataFileError(
            f"{path} has images {list(images.shape)} and labels {list(labels.shape)} of {labels.dtype}; it needs one "
            "whole number for each image."
        )
    if not len(labels):
        raise DataFileError(f"{path} holds no image; write it again.")
    return TensorDataset(_inputs(images, path), labels.long())


def _check_names(path: Path, found: Collection[str]) -> None:
    if absent := [name for name in ARRAYS if name not in found]:
        raise DataFileError(f"{path} holds {', '.join(found) or 'nothing'}, but no {' and no '.join(absent)}.")


def _inputs(images: Tensor, path: Path) -> Tensor:
    """Float32 inputs `[N, C, H, W]` of bytes, each channel of mean 0 and deviation 1; floats as they are."""
    if images.is_floating_point():
        return images.float()
    if images.dim() == 3:
        images = images[..., None]
    if images.dtype != torch.uint8 or images.dim() != 4 or images.shape[3] not in (1, 3):
        raise DataFileError(
            f"{path} has images {list(images.shape)} of {images.dtype}; give uint8 [N, H, W] or [N, H, W, 1 or 3], or "
            "floating-point inputs as the networks take them."
        )
    scaled = images.permute(0, 3, 1, 2).float() / 255
    mean, std = scaled.mean((0, 2, 3), keepdim=True), scaled.std((0, 2, 3), keepdim=True)
    return (scaled - mean) / std.clamp(min=1e-6)


def _safetensors(path: Path) -> dict[str, Tensor]:
    from safetensors.torch import load_file

    try:
        tensors: dict[str, Tensor] = load_file(path)
    except (SafetensorError, OSError) as error:
        raise DataFileError(f"{path} cannot be read as safetensors ({error}); write it again.") from error
    _check_names(path, tensors)
    return tensors


def _npz(path: Path) -> dict[str, Tensor]:
    try:
        import numpy as np
    except ImportError as error:
        raise DataFileError(f"{path} needs numpy to be read; install it, or save a .safetensors file.") from error
    try:
        with np.load(path, allow_pickle=False) as file:
            found = list(file.files)  # others may be of any kind, and are not read
            arrays = {name: torch.from_numpy(file[name]) for name in found if name in ARRAYS}
    except (zipfile.BadZipFile, zlib.error, OSError, ValueError, EOFError, AttributeError, TypeError) as error:
        raise DataFileError(
            f"{path} cannot be read as .npz of numbers ({error}); write it again with numpy.savez."
        ) from error
    _check_names(path, found)
    return arrays
