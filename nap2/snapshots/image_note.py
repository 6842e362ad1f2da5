"""Which images candidates were trained on, or networks scored on: a setting holds their name alone.

The note `images.json` lies beside a store's candidates, `<scores>.images.json` beside the scores of proxies. A call for
other images of the same name, or cut in another way, is refused before it mixes both or takes the one for the other.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from torch import Tensor

from nap2.errors import StoreError
from nap2.snapshots.disk import create_once, explained

NOTE = "images.json"


class Images(Protocol):
    """What decides a batch; `data_modules.images.ImageSet` is one."""

    name: str
    train_images: Tensor
    train_labels: Tensor
    test_images: Tensor
    test_labels: Tensor
    crop_padding: int
    flip: bool


def check_images(root: Path, images: Images) -> None:
    """Note the images of a store, or compare them with those that it was filled with; 0.1 s for CIFAR-10.

    Raises:
        StoreError: if they are others, or the note cannot be read.
    """
    _check(root / NOTE, images, f"The candidates of {root} were trained", "use another paths.store")


def check_scored_images(scores: Path, images: Images) -> None:
    """The same of a file of scores.

    Raises:
        StoreError: if they are others, or the note cannot be read.
    """
    scores.parent.mkdir(parents=True, exist_ok=True)
    note = scores.with_suffix(f".{NOTE}")
    _check(note, images, f"The networks of {scores} were scored", f"delete that file and {note.name}")


def check_same_images(first: Path, second: Path) -> None:
    """Refuse to read two folders of candidates of one setting as one if both say on which images, and not on the same.

    Raises:
        StoreError: if they do, or a note cannot be read.
    """
    if other := _differences(_read(first / NOTE), _read(second / NOTE)):
        raise StoreError(
            f"The candidates of {first} and of {second} were trained on different images of one dataset.name (other "
            f"{other}) and are not read as one; leave one of them out."
        )


def described_images(images: Images) -> dict[str, object]:
    """Bytes of images and labels; mean and deviation follow from them, and their last bit from the machine."""
    return {
        "training images": _hashed(images.train_images, images.train_labels),
        "test images": _hashed(images.test_images, images.test_labels),
        "crop_padding": images.crop_padding,
        "flip": images.flip,
    }


def _check(note: Path, images: Images, what_was_done: str, advice: str) -> None:
    asked = described_images(images)
    with explained("Noting the images", note):
        # Looked for first: whoever may only read a store has nothing to note there.
        if not note.exists() and create_once(note, (json.dumps(asked, indent=1) + "\n").encode()):
            return
    if other := _differences(asked, _read(note)):
        raise StoreError(
            f"{what_was_done} on {images.name} with other {other}; give these images another dataset.name, or {advice}."
        )


def _read(note: Path) -> Mapping[str, object]:
    """What a note says of the images; nothing where there is none, as in stores that are older than notes."""
    with explained("Reading the note on images", note):
        content = note.read_bytes() if note.exists() else b"{}"
    try:
        return dict(json.loads(content))
    except (ValueError, TypeError) as error:
        raise StoreError(f"{note} is damaged ({error}); delete it if the images are still the same.") from error


def _differences(ours: Mapping[str, object], theirs: Mapping[str, object]) -> str:
    """In what two descriptions of images differ, as far as both say it."""
    return ", ".join(name for name, value in ours.items() if theirs.get(name, value) != value)


def _hashed(*tensors: Tensor) -> str:
    digest = hashlib.sha256()
    for tensor in tensors:
        digest.update(f"{tuple(tensor.shape)}{tensor.dtype}".encode())
        digest.update(tensor.contiguous().numpy().data.cast("B"))
    return digest.hexdigest()[:16]
