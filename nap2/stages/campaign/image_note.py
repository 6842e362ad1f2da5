"""Which images candidates were trained on, or networks scored on: a setting holds their name alone.

The note `images.json` lies beside a store's candidates, `<scores>.images.json` beside the scores of proxies. A call for
other images of the same name, or cut in another way, is refused before it mixes both or takes the one for the other.
"""

import hashlib
import json
from pathlib import Path
from typing import Protocol

from torch import Tensor

from nap2.errors import StoreError
from nap2.snapshots.disk import create_once, explained
from nap2.snapshots.image_note import NOTE, read_note


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


def _check(note: Path, images: Images, what_was_done: str, advice: str) -> None:
    asked = described_images(images)
    with explained("Noting the images", note):
        # Looked for first: whoever may only read a store has nothing to note there.
        if not note.exists() and create_once(note, (json.dumps(asked, indent=1) + "\n").encode()):
            return
    found = read_note(note) or {}
    if other := [name for name, value in asked.items() if found.get(name, value) != value]:
        raise StoreError(
            f"{what_was_done} on {images.name} with other {', '.join(other)}; give these images another dataset.name, "
            f"or {advice}."
        )


def described_images(images: Images) -> dict[str, object]:
    """Bytes of images and labels; mean and deviation follow from them, and their last bit from the machine."""
    return {
        "training images": _hashed(images.train_images, images.train_labels),
        "test images": _hashed(images.test_images, images.test_labels),
        "crop_padding": images.crop_padding,
        "flip": images.flip,
    }


def _hashed(*tensors: Tensor) -> str:
    digest = hashlib.sha256()
    for tensor in tensors:
        digest.update(f"{tuple(tensor.shape)}{tensor.dtype}".encode())
        digest.update(tensor.contiguous().numpy().data.cast("B"))
    return digest.hexdigest()[:16]
