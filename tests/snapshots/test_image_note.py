"""A store is filled from one set of images, whatever a later call gives under the same name."""

import errno
from dataclasses import replace
from pathlib import Path

import pytest

from data_modules.images import read_digits
from nap2.errors import StoreError
from nap2.snapshots import image_note
from nap2.snapshots.image_note import NOTE, check_images

DIGITS = read_digits()


def test_the_same_images_are_accepted_from_anywhere_and_the_note_stays(tmp_path: Path) -> None:
    check_images(tmp_path, DIGITS)
    before = (tmp_path / NOTE).read_bytes()
    check_images(tmp_path, replace(DIGITS, train_images=DIGITS.train_images.clone()))
    assert (tmp_path / NOTE).read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == [NOTE]


def test_a_store_that_may_only_be_read_is_compared_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    check_images(tmp_path, DIGITS)

    def refuse(*_: object) -> bool:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(image_note, "create_once", refuse)
    check_images(tmp_path, DIGITS)
    with pytest.raises(StoreError, match="with other flip"):
        check_images(tmp_path, replace(DIGITS, flip=True))


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"crop_padding": DIGITS.crop_padding + 1}, "crop_padding"),
        ({"flip": True}, "flip"),
        ({"train_images": DIGITS.train_images.flip(0)}, "training images"),
        ({"train_labels": DIGITS.train_labels.flip(0)}, "training images"),
        ({"test_labels": DIGITS.test_labels.flip(0), "flip": True}, "test images, flip"),
    ],
)
def test_other_images_and_other_cuts_are_refused_by_name(tmp_path: Path, changed: dict, named: str) -> None:
    check_images(tmp_path, DIGITS)
    with pytest.raises(StoreError, match=f"trained on digits with other {named}; give these images another dataset"):
        check_images(tmp_path, replace(DIGITS, **changed))


def test_a_damaged_note_is_said(tmp_path: Path) -> None:
    (tmp_path / NOTE).write_text("{")
    with pytest.raises(StoreError, match=r"images\.json is damaged"):
        check_images(tmp_path, DIGITS)
