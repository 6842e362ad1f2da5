"""A user's own images, and the embedded digits."""

import numpy as np
import pytest
import torch
from fakes_images import noise
from PIL import Image

from data_modules.images import ImageSet, read_digits, read_folder, read_npz
from data_modules.images.image_set import channel_statistics
from nap2.errors import ConfigError, DataFileError


def write_classes(root, classes, per_class=5, size=(8, 8), mode="RGB"):
    for index, name in enumerate(classes):
        (root / name).mkdir(parents=True, exist_ok=True)
        for number in range(per_class):
            pixels = noise(*size, *([3] if mode == "RGB" else []), seed=10 * index + number)
            Image.fromarray(pixels, mode=mode).save(root / name / f"{number}.png")


def test_a_folder_per_class_is_read_in_the_order_of_names(tmp_path):
    write_classes(tmp_path, ["cat", "ant", "bee"])
    images = read_folder(tmp_path, "pets", num_classes=3)
    assert (len(images.train_images), len(images.test_images), images.image_shape) == (12, 3, (3, 8, 8))
    assert images.train_labels.tolist() == sorted(images.train_labels.tolist())
    everything = {bytes(image.permute(1, 2, 0).contiguous().numpy()) for image in images.train_images}
    everything |= {bytes(image.permute(1, 2, 0).contiguous().numpy()) for image in images.test_images}
    assert bytes(noise(8, 8, 3, seed=0)) in everything  # cat/0.png
    assert len(everything) == 15


def test_the_split_is_a_function_of_its_seed(tmp_path):
    write_classes(tmp_path, ["a", "b"])
    one, same, other = (read_folder(tmp_path, "x", 2, split_seed=seed).test_images for seed in (0, 0, 1))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)


def test_own_test_images_are_kept_apart(tmp_path):
    write_classes(tmp_path / "train", ["a", "b"])
    write_classes(tmp_path / "test", ["b"], per_class=2)
    with pytest.raises(DataFileError, match=r"no image in .*test/a"):
        read_folder(tmp_path, "x", 2)
    write_classes(tmp_path / "test", ["a"], per_class=2)
    images = read_folder(tmp_path, "x", 2)
    assert (len(images.train_images), images.test_labels.tolist()) == (10, [0, 0, 1, 1])
    write_classes(tmp_path / "test", ["c"])
    with pytest.raises(DataFileError, match="classes that training lacks: c"):
        read_folder(tmp_path, "x", 2)


def test_sizes_must_agree_or_be_chosen(tmp_path):
    write_classes(tmp_path, ["a"])
    write_classes(tmp_path, ["b"], size=(8, 10))
    with pytest.raises(DataFileError, match=r"b/0.png is 8×10, but .*a/0.png is 8×8; set dataset.reader.image_size"):
        read_folder(tmp_path, "x", 2)
    assert read_folder(tmp_path, "x", 2, image_size=6).image_shape == (3, 6, 6)


def test_grey_images_fill_three_channels(tmp_path):
    write_classes(tmp_path, ["a", "b"], mode="L")
    image = read_folder(tmp_path, "x", 2).train_images[0]
    assert torch.equal(image[0], image[1])
    assert torch.equal(image[0], image[2])


def test_what_is_wrong_with_a_folder_is_said(tmp_path):
    with pytest.raises(DataFileError, match=r"no folder at .*/nowhere; set dataset.reader.root"):
        read_folder(tmp_path / "nowhere", "x", 2)
    write_classes(tmp_path, ["a", "b"])
    with pytest.raises(DataFileError, match=r"holds 2 class folders \(a, b.*num_classes is 3"):
        read_folder(tmp_path, "x", 3)
    (tmp_path / "b" / "3.png").write_bytes(b"\x89PNG cut")
    with pytest.raises(DataFileError, match=r"b/3.png cannot be read .* replace or remove it"):
        read_folder(tmp_path, "x", 2)


def test_npz_with_and_without_test_arrays(tmp_path):
    labels = np.arange(10) % 3
    np.savez(tmp_path / "a.npz", images=noise(10, 8, 8, 3), labels=labels)
    images = read_npz(tmp_path / "a.npz", "x", 3, test_fraction=0.3)
    assert (len(images.train_images), len(images.test_images)) == (7, 3)
    np.savez(
        tmp_path / "b.npz", images=noise(10, 8, 8), labels=labels, test_images=noise(4, 8, 8), test_labels=labels[:4]
    )
    grey = read_npz(tmp_path / "b.npz", "x", 3, crop_padding=2, flip=True)
    assert (grey.crop_padding, grey.flip) == (2, True)
    np.testing.assert_array_equal(grey.train_images, np.repeat(noise(10, 8, 8)[:, None], 3, axis=1))
    np.testing.assert_array_equal(grey.test_labels, labels[:4])


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"images": noise(4, 8, 8)}, "has no array 'labels', only images"),
        ({"labels": np.zeros(4, int)}, "has no array 'images'"),
        ({"images": noise(4, 8, 8).astype(float), "labels": np.zeros(4, int)}, "is float64.*expected uint8"),
        ({"images": noise(4, 8, 8, 2), "labels": np.zeros(4, int)}, r"\[4, 8, 8, 2\]; expected uint8"),
        ({"images": noise(4, 8, 8), "labels": np.zeros(3, int)}, r"labels in .* \[3\] for 4 images"),
        ({"images": noise(4, 8, 8), "labels": np.zeros(4)}, "labels in .* float64"),
        ({"images": noise(4, 8, 8), "labels": np.full(4, 5)}, "labels run from 5 to 5, expected 0 to 1"),
        ({"images": noise(4, 8, 8), "labels": np.full(4, -1)}, "labels run from -1"),
        ({"images": noise(1, 8, 8), "labels": np.zeros(1, int)}, "leaves nothing to train or to test on"),
        ({"images": np.array([None] * 4), "labels": np.zeros(4, int)}, "cannot be read as .npz"),
        (
            {"images": noise(4, 8, 8), "labels": np.zeros(4, int), "test_images": noise(2, 9, 9)}
            | {"test_labels": np.zeros(2, int)},
            "training images are 3×8×8, test images 3×9×9",
        ),
    ],
)
def test_what_is_wrong_with_an_npz_is_said(tmp_path, arrays, message):
    np.savez(tmp_path / "x.npz", **arrays)
    with pytest.raises(DataFileError, match=message):
        read_npz(tmp_path / "x.npz", "x", 2)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 cut", b"text"])
def test_a_damaged_npz_is_named(tmp_path, content):
    (tmp_path / "x.npz").write_bytes(content)
    with pytest.raises(DataFileError, match=r"x.npz cannot be read as .npz .*np.savez"):
        read_npz(tmp_path / "x.npz", "x", 2)
    with pytest.raises(DataFileError, match=r"no file at .*/y.npz; set dataset.reader.path"):
        read_npz(tmp_path / "y.npz", "x", 2)


def test_an_npz_in_a_compression_that_is_none_is_named(tmp_path):
    np.savez(tmp_path / "x.npz", images=noise(4, 8, 8), labels=np.zeros(4, int))
    content = bytearray((tmp_path / "x.npz").read_bytes())
    content[content.index(b"PK\x01\x02") + 10] = 77  # the method, as the archive's directory says it
    (tmp_path / "x.npz").write_bytes(content)
    with pytest.raises(DataFileError, match=r"x.npz cannot be read as .npz .*not supported"):
        read_npz(tmp_path / "x.npz", "x", 2)


def test_digits_come_with_scikit_learn():
    from sklearn.datasets import load_digits

    digits = read_digits()
    assert (len(digits.train_images), len(digits.test_images), digits.image_shape) == (1297, 500, (3, 8, 8))
    grey = np.rint(load_digits().images * 255 / 16).astype(np.uint8)
    ours = torch.cat([digits.train_images, digits.test_images])
    assert sorted(map(bytes, ours[:, 0].contiguous().numpy())) == sorted(map(bytes, grey))
    assert torch.equal(ours[:, 0], ours[:, 2])
    assert digits.test_labels.bincount().min() > 30


def test_channel_statistics_agree_with_numpy():
    images = noise(50, 3, 5, 5)
    mean, std = channel_statistics(torch.from_numpy(images))
    np.testing.assert_allclose(mean.flatten(), (images / 255).mean((0, 2, 3)), rtol=1e-6)
    np.testing.assert_allclose(std.flatten(), (images / 255).std((0, 2, 3)), rtol=1e-6)
    assert channel_statistics(torch.full((2, 3, 4, 4), 7, dtype=torch.uint8))[1].flatten().tolist() == [1, 1, 1]


def test_an_image_set_holds_what_it_promises():
    images, labels, one = (
        torch.zeros(4, 3, 8, 8, dtype=torch.uint8),
        torch.zeros(4, dtype=torch.int64),
        torch.ones(3, 1, 1),
    )
    ImageSet("x", images, labels, images, labels, 1, one, one)
    with pytest.raises(DataFileError, match=r"expected uint8 \[N, 3, H, W\]"):
        ImageSet("x", images.float(), labels, images, labels, 1, one, one)
    with pytest.raises(DataFileError, match="with N ≥ 1"):
        ImageSet("x", images, labels, images[:0], labels[:0], 1, one, one)
    with pytest.raises(DataFileError, match="expected one int64 label each"):
        ImageSet("x", images, labels[:3], images, labels, 1, one, one)


@pytest.mark.parametrize(
    ("pixels", "suffix"),
    [(np.uint16(1000), ".png"), (np.uint16(1000), ".tif"), (np.int32(1000), ".tif"), (np.float32(0.5), ".tif")],
)
def test_an_image_that_would_be_cut_off_at_255_is_refused(tmp_path, pixels, suffix):
    write_classes(tmp_path, ["a", "b"])
    Image.fromarray(np.full((8, 8), pixels)).save(tmp_path / "b" / f"deep{suffix}")
    with pytest.raises(DataFileError, match=rf"deep{suffix} has more than 8 bits a pixel .*save it with 8 bits"):
        read_folder(tmp_path, "x", 2)


def test_an_image_too_large_to_open_is_named(tmp_path, monkeypatch):
    write_classes(tmp_path, ["a", "b"])
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 30)
    with pytest.raises(DataFileError, match=r"a/0.png cannot be read \(Image size .64 pixels. exceeds limit"):
        read_folder(tmp_path, "x", 2)


@pytest.mark.parametrize("parts", [("train", "val"), ("Train", "Test"), ("training", "validation")])
def test_the_folders_of_a_split_are_not_taken_for_classes(tmp_path, parts):
    for part in parts:
        write_classes(tmp_path / part, ["ant", "bee"])
    with pytest.raises(
        DataFileError, match=rf"{parts[0]} holds folders \(ant, bee\), so it is no class but a split; name"
    ):
        read_folder(tmp_path, "x", 2)


def test_a_class_of_trains_is_a_class(tmp_path):
    write_classes(tmp_path, ["plane", "train"])
    assert read_folder(tmp_path, "x", 2).num_classes == 2


def test_what_other_programs_hide_in_a_folder_is_no_image(tmp_path):
    write_classes(tmp_path, ["a", "b"])
    (tmp_path / "a" / ".ipynb_checkpoints").mkdir()
    (tmp_path / "a" / "0.png").rename(tmp_path / "a" / ".ipynb_checkpoints" / "0-checkpoint.png")
    (tmp_path / "b" / "._0.png").write_bytes(b"what a Mac notes of 0.png")
    images = read_folder(tmp_path, "x", 2)
    assert len(images.train_images) + len(images.test_images) == 9


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"crop_padding": -1}, "crop_padding=-1 must be a whole number of at least 0"),
        ({"crop_padding": 2.5}, "crop_padding=2.5 must be"),
        ({"image_size": 0}, "image_size=0 must be a whole number of at least 1"),
        ({"image_size": "large"}, "image_size=large must be"),
        ({"split_seed": "a"}, "split_seed=a must be"),
        ({"flip": "perhaps"}, "flip=perhaps is not true or false"),
        ({"test_fraction": "a"}, "test_fraction=a must be a number from 0 to 1"),
        ({"test_fraction": 1.5}, "test_fraction=1.5 must be"),
    ],
)
def test_options_that_no_reader_can_follow_are_refused(tmp_path, options, message):
    write_classes(tmp_path, ["a", "b"])
    np.savez(tmp_path / "x.npz", images=noise(10, 8, 8, 3), labels=np.arange(10) % 2)
    with pytest.raises(ConfigError, match=f"dataset.reader.{message}"):
        read_folder(tmp_path, "x", 2, **options)
    if "image_size" not in options:
        with pytest.raises(ConfigError, match=f"dataset.reader.{message}"):
            read_npz(tmp_path / "x.npz", "x", 2, **options)
