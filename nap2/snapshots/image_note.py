"""The note `images.json` beside candidates: on which images they were trained; their setting has the name alone."""

import json
from collections.abc import Mapping
from pathlib import Path

from nap2.errors import StoreError
from nap2.snapshots.disk import explained

NOTE = "images.json"


def read_note(path: Path) -> Mapping[str, object] | None:
    """What a note says of the images; None where there is none, as in stores that are older than notes.

    Raises:
        StoreError: if it cannot be read.
    """
    with explained("Reading the note on images", path):
        content = path.read_bytes() if path.exists() else None
    if content is None:
        return None
    try:
        return dict(json.loads(content))
    except (ValueError, TypeError) as error:
        raise StoreError(f"{path} is damaged ({error}); delete it if the images are still the same.") from error


def check_same_images(first: Path, second: Path) -> None:
    """Refuse to read two folders of candidates of one setting as one if both say on which images, and not on the same.

    Raises:
        StoreError: if they do, or a note cannot be read.
    """
    ours, theirs = read_note(first / NOTE), read_note(second / NOTE)
    if ours is None or theirs is None:
        return
    if other := [name for name, value in ours.items() if theirs.get(name, value) != value]:
        raise StoreError(
            f"The candidates of {first} and of {second} were trained on different images of one dataset.name (other "
            f"{', '.join(other)}) and are not read as one; leave one of them out."
        )
