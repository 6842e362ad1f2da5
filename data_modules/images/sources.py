"""The visible table of known image files: how many images they hold, and where to get them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from torch import Tensor

from nap2.errors import DataFileError, check_name

CIFAR_PAGE = "https://www.cs.toronto.edu/~kriz/cifar.html"
SVHN_PAGE = "http://ufldl.stanford.edu/housenumbers"
IMAGENET16_PAGE = "https://patrykchrabaszcz.github.io/Imagenet32 (downsampled ImageNet, 16×16)"


@dataclass(frozen=True, slots=True)
class Source:
    """One name under which files are accepted, and what they must hold to deserve it."""

    name: str
    num_classes: int
    num_train: int
    num_test: int
    page: str
    balanced: bool = False  # as many images of each class
    stand_in_for: str | None = None


SOURCES: Mapping[str, Source] = MappingProxyType(
    {
        source.name: source
        for source in (
            Source("cifar10", 10, 50_000, 10_000, CIFAR_PAGE, balanced=True),
            Source("cifar100", 100, 50_000, 10_000, CIFAR_PAGE, balanced=True),
            Source("cifar100-25k", 100, 25_000, 2_500, CIFAR_PAGE, stand_in_for="cifar100"),
            Source("svhn", 10, 73_257, 26_032, SVHN_PAGE),
            Source("svhn-6k", 10, 5_000, 1_000, SVHN_PAGE, stand_in_for="svhn"),
            Source("imagenet16-120", 120, 151_700, 6_000, IMAGENET16_PAGE),
            Source("tinyimagenet16-120", 120, 30_000, 6_000, IMAGENET16_PAGE, stand_in_for="imagenet16-120"),
        )
    }
)


def source_of(name: str, known: Sequence[str]) -> Source:
    """The source called `name`, which must be one of those a reader knows.

    Raises:
        UnknownNameError: otherwise.
    """
    check_name("dataset of this reader", name, known)
    return SOURCES[name]


def locate(root: Path | str, folders: Sequence[str], first_file: str) -> Path | None:
    """The first of `root/folder…`, `root` that holds `first_file`; None if none does."""
    places = [Path(root) / folder for folder in folders] + [Path(root)]
    return next((place for place in places if (place / first_file).is_file()), None)


def missing(source: Source, root: Path | str, folders: Sequence[str], file: str) -> DataFileError:
    """The error that says which file is missing, where it was looked for, and where to get it."""
    places = ", ".join(str((Path(root) / folder).absolute()) for folder in (*folders, ""))
    return DataFileError(
        f"{source.name}: no {file} in {places}; get it from {source.page} and unpack it below "
        f"{Path(root).absolute()}, or point paths.data (or $NAP2_DATA) at the folder that holds it."
    )


def damaged(source: Source, path: Path, found: str) -> DataFileError:
    """The error for a file that is there but is not what it should be."""
    return DataFileError(f"{source.name}: {path} is damaged ({found}); fetch it again from {source.page}.")


def check_counts(source: Source, folder: Path, train_labels: Tensor, test_labels: Tensor) -> None:
    """Hold the files to their name.

    Raises:
        DataFileError: if they hold another number of images, or unequal classes where they should be equal.
    """
    for split, labels, expected in (
        ("training", train_labels, source.num_train),
        ("test", test_labels, source.num_test),
    ):
        if len(labels) != expected:
            raise DataFileError(
                f"{source.name}: {folder} holds {len(labels):,} {split} images, not {expected:,}; "
                f"{_advice(source, len(train_labels), len(test_labels))}"
            )
        per_class = labels.bincount(minlength=source.num_classes)
        if source.balanced and not (per_class == expected // source.num_classes).all():
            raise damaged(source, folder, f"{split} classes have {per_class.min()} to {per_class.max()} images each")


def _advice(source: Source, num_train: int, num_test: int) -> str:
    """The name that files of this size deserve, if there is one."""
    for other in SOURCES.values():
        is_kin = (other.stand_in_for or other.name) == (source.stand_in_for or source.name)
        if is_kin and (other.num_train, other.num_test) == (num_train, num_test):
            return f"use dataset={other.name}, the name of a set of this size."
    return f"fetch the complete files from {source.page}."
