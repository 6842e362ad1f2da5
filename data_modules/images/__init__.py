"""Images that candidates are trained on: readers of the official files, of your own, and their LightningDataModule.

`ImageDataModule` loads on first use, so that reading images costs no import of Lightning.
"""

from typing import TYPE_CHECKING, Any

from data_modules.images.cifar import read_cifar10, read_cifar100
from data_modules.images.digits import read_digits
from data_modules.images.image_set import ImageSet
from data_modules.images.imagenet16 import read_imagenet16
from data_modules.images.own_folder import read_folder
from data_modules.images.own_npz import read_npz
from data_modules.images.sources import SOURCES, Source
from data_modules.images.svhn import read_svhn

if TYPE_CHECKING:
    from data_modules.images.image_data_module import ImageDataModule

__all__ = [
    "SOURCES",
    "ImageDataModule",
    "ImageSet",
    "Source",
    "read_cifar10",
    "read_cifar100",
    "read_digits",
    "read_folder",
    "read_imagenet16",
    "read_npz",
    "read_svhn",
]


def __getattr__(name: str) -> Any:
    if name != "ImageDataModule":
        raise AttributeError(f"module 'data_modules.images' has no attribute {name!r}")
    from data_modules.images.image_data_module import ImageDataModule

    return ImageDataModule
