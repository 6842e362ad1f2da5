"""The readers of published files, on a few images in the official layouts."""

import os
import pickle

import numpy as np
import pytest
import torch
from fakes_images import few, noise, write_cifar_binary, write_imagenet16, write_pickle, write_svhn

from data_modules.images import read_cifar10, read_cifar100, read_imagenet16, read_svhn
from nap2.errors import DataFileError, UnknownNameError

BATCHES = [f"data_batch_{i}.bin" for i in range(1, 6)]


@pytest.fixture
def cifar10(tmp_path, monkeypatch):
    few(monkeypatch, cifar10=(50, 10))
    write_cifar_binary(tmp_path / "cifar-10-batches-bin", BATCHES, 10, 10)
    write_cifar_binary(tmp_path / "cifar-10-batches-bin", ["test_batch.bin"], 10, 10)
    return tmp_path


def test_cifar10_binary_holds_channels_first(cifar10):
    pixels, labels = write_cifar_binary(cifar10 / "cifar-10-batches-bin", BATCHES, 10, 10)
    images = read_cifar10(cifar10)
    np.testing.assert_array_equal(images.train_images, pixels)
    np.testing.assert_array_equal(images.train_labels, labels)
    assert images.test_images.shape == (10, 3, 32, 32)
    assert (images.name, images.num_classes, images.crop_padding, images.flip) == ("cifar10", 10, 4, True)


def test_both_cifar10_layouts_hold_the_same_set(cifar10):
    binary = read_cifar10(cifar10)
    folder = cifar10 / "python" / "cifar-10-batches-py"
    for index in range(5):
        rows = slice(index * 10, index * 10 + 10)
        content = {
            b"batch_label": b"x",
            b"labels": binary.train_labels[rows].tolist(),
            b"data": binary.train_images[rows].reshape(10, 3072).numpy(),
        }
        write_pickle(folder / f"data_batch_{index + 1}", content)
    test = {"labels": binary.test_labels.tolist(), "data": binary.test_images.reshape(10, 3072).numpy()}
    write_pickle(folder / "test_batch", test)
    python = read_cifar10(cifar10 / "python")
    for name in ("train_images", "train_labels", "test_images", "test_labels"):
        assert torch.equal(getattr(python, name), getattr(binary, name)), name


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_cifar100_reads_fine_labels_of_both_layouts(tmp_path, monkeypatch, protocol):
    few(monkeypatch, cifar100=(200, 100))
    for file, count in (("train", 200), ("test", 100)):
        pixels, labels = write_cifar_binary(tmp_path / "bin" / "cifar-100-binary", [f"{file}.bin"], count, 100, 2)
        content = {"data": pixels.reshape(-1, 3072), "fine_labels": labels.tolist(), "coarse_labels": [7] * count}
        write_pickle(tmp_path / "py" / "cifar-100-python" / file, content, protocol)
    binary, python = read_cifar100(tmp_path / "bin"), read_cifar100(tmp_path / "py")
    assert binary.train_labels.tolist() == [i % 100 for i in range(200)]
    assert torch.equal(python.train_images, binary.train_images)
    assert torch.equal(python.test_labels, binary.test_labels)


def test_files_may_lie_in_the_data_folder_itself(cifar10):
    assert read_cifar10(cifar10 / "cifar-10-batches-bin").name == "cifar10"


def test_svhn_calls_a_zero_zero(tmp_path, monkeypatch):
    few(monkeypatch, svhn=(20, 10))
    write_svhn(tmp_path / "svhn")
    images = read_svhn(tmp_path)
    assert images.train_labels.tolist() == [1, 2, 3, 4, 5, 6, 7, 8, 9, 0] * 2
    np.testing.assert_array_equal(images.train_images[3], noise(32, 32, 3, 20)[..., 3].transpose(2, 0, 1))
    assert (images.crop_padding, images.flip, images.mean.flatten().tolist()) == (0, False, [0.5] * 3)


def test_imagenet16_keeps_120_classes_and_subtracts_the_mean_training_image(tmp_path, monkeypatch):
    kept = [label for label in (i * 11 % 130 + 1 for i in range(15)) if label <= 120]
    few(monkeypatch, imagenet16_120=(10 * len(kept), len(kept)))
    write_imagenet16(tmp_path / "ImageNet16")
    images = read_imagenet16(tmp_path)
    assert images.test_labels.tolist() == [label - 1 for label in kept]
    assert images.train_images.shape == (10 * len(kept), 3, 16, 16)
    expected = images.train_images.numpy().astype(np.float64).mean(0) / 255
    np.testing.assert_allclose(images.mean.numpy(), expected, rtol=1e-6)


def test_a_missing_set_says_where_it_was_looked_for_and_where_to_get_it(tmp_path):
    for read, first, page in (
        (read_cifar10, "data_batch_1.bin", "https://www.cs.toronto.edu/~kriz/cifar.html"),
        (read_cifar100, "train.bin", "https://www.cs.toronto.edu/~kriz/cifar.html"),
        (read_svhn, "train_32x32.mat", "http://ufldl.stanford.edu/housenumbers"),
        (read_imagenet16, "train_data_batch_1", "https://patrykchrabaszcz.github.io/Imagenet32"),
    ):
        with pytest.raises(DataFileError, match=rf"no {first} in {tmp_path}/.*, {tmp_path}; get it from {page}"):
            read(tmp_path)


def test_a_missing_part_is_named(cifar10):
    (cifar10 / "cifar-10-batches-bin" / "data_batch_4.bin").unlink()
    with pytest.raises(DataFileError, match=rf"no data_batch_4.bin in {cifar10}/cifar-10-batches-bin"):
        read_cifar10(cifar10)


def test_a_cut_file_is_damaged(cifar10):
    path = cifar10 / "cifar-10-batches-bin" / "data_batch_2.bin"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(DataFileError, match=r"data_batch_2.bin is damaged \(30,729 bytes are no whole number"):
        read_cifar10(cifar10)
    path.write_bytes(b"")
    with pytest.raises(DataFileError, match=r"damaged \(0 bytes"):
        read_cifar10(cifar10)


def test_a_wrong_label_is_damage(cifar10):
    path = cifar10 / "cifar-10-batches-bin" / "test_batch.bin"
    content = bytearray(path.read_bytes())
    content[0] = 10
    path.write_bytes(content)
    with pytest.raises(DataFileError, match=r"test_batch.bin is damaged \(a label of"):
        read_cifar10(cifar10)
    content[0] = 3  # a legal one, but the classes are no longer equal
    path.write_bytes(content)
    with pytest.raises(DataFileError, match="test classes have 0 to 2 images each"):
        read_cifar10(cifar10)


def test_a_partial_set_needs_its_own_name(tmp_path, monkeypatch):
    few(monkeypatch, cifar100=(200, 100), cifar100_25k=(100, 100), svhn=(20, 10), svhn_6k=(10, 10))
    for file in ("train", "test"):
        write_cifar_binary(tmp_path / "cifar-100-binary", [f"{file}.bin"], 100, 100, 2)
    assert read_cifar100(tmp_path, "cifar100-25k").name == "cifar100-25k"
    with pytest.raises(DataFileError, match="holds 100 training images, not 200; use dataset=cifar100-25k"):
        read_cifar100(tmp_path)
    write_svhn(tmp_path / "svhn")
    assert read_svhn(tmp_path).name == "svhn"
    with pytest.raises(DataFileError, match="holds 20 training images, not 10; use dataset=svhn, the name"):
        read_svhn(tmp_path, "svhn-6k")
    write_svhn(tmp_path / "svhn", num_train=15)
    with pytest.raises(DataFileError, match="not 20; fetch the complete files from http"):
        read_svhn(tmp_path)
    with pytest.raises(UnknownNameError, match="Did you mean 'cifar100'"):
        read_cifar100(tmp_path, "cifar10")


BAD_ENCODING = pickle.dumps({b"data": noise(2, 768)}, protocol=2).replace(b"latin1", b"lat#n1")


@pytest.mark.parametrize(
    "content", [b"", b"no pickle", b"\x80\x04.", pickle.dumps([1, 2]), pickle.dumps({"x": 1}), BAD_ENCODING]
)
def test_a_damaged_pickle_is_named(tmp_path, content):
    write_imagenet16(tmp_path / "ImageNet16")
    (tmp_path / "ImageNet16" / "train_data_batch_7").write_bytes(content)
    with pytest.raises(DataFileError, match=r"train_data_batch_7 is damaged \(.*fetch it again from https"):
        read_imagenet16(tmp_path)


@pytest.mark.parametrize(
    "content",
    [
        {"data": noise(3, 768), "labels": [1, 2]},
        {"data": noise(3, 700), "labels": [1, 2, 3]},
        {"data": noise(3, 768).astype(np.float32), "labels": [1, 2, 3]},
        {"data": noise(3, 768), "labels": [0, 1, 2]},
        {"data": noise(3, 768), "labels": ["a", "b", "c"]},
    ],
)
def test_a_pickle_of_the_wrong_arrays_is_damage(tmp_path, content):
    write_imagenet16(tmp_path / "ImageNet16")
    write_pickle(tmp_path / "ImageNet16" / "val_data", content)
    with pytest.raises(DataFileError, match="val_data is damaged"):
        read_imagenet16(tmp_path)


class _Evil:
    def __reduce__(self):
        return os.system, ("echo run > evil",)


@pytest.mark.parametrize("evil", [_Evil(), getattr, eval, np.load])
def test_a_pickle_cannot_run_anything(tmp_path, monkeypatch, evil):
    monkeypatch.chdir(tmp_path)
    write_imagenet16(tmp_path / "ImageNet16")
    write_pickle(tmp_path / "ImageNet16" / "val_data", {"data": noise(3, 768), "labels": [1, 2, 3], "extra": evil})
    with pytest.raises(DataFileError, match=r"it names .*, which image files have no need of"):
        read_imagenet16(tmp_path)
    assert not (tmp_path / "evil").exists()


@pytest.mark.parametrize("content", [b"", b"no matlab file at all", b"MATLAB 5.0 MAT-file" + bytes(200)])
def test_a_damaged_mat_file_is_named(tmp_path, content):
    write_svhn(tmp_path / "svhn")
    (tmp_path / "svhn" / "test_32x32.mat").write_bytes(content)
    with pytest.raises(DataFileError, match=r"test_32x32\.mat is damaged"):
        read_svhn(tmp_path)


def test_a_cut_mat_file_is_named(tmp_path):
    write_svhn(tmp_path / "svhn")
    path = tmp_path / "svhn" / "train_32x32.mat"
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(DataFileError, match=r"train_32x32\.mat is damaged"):
        read_svhn(tmp_path)


@pytest.mark.data
@pytest.mark.skipif("NAP2_DATA" not in os.environ, reason="needs official dataset files under $NAP2_DATA")
@pytest.mark.parametrize(
    ("read", "name", "page_facts"),
    [
        (read_cifar10, "cifar10", {"train": 50_000, "first": [6, 9, 9, 4, 1]}),
        (read_cifar100, "cifar100-25k", {"train": 25_000, "first": [19, 29, 0, 11, 1]}),
        (read_svhn, "svhn-6k", {"train": 5_000}),
        (read_imagenet16, "tinyimagenet16-120", {"train": 30_000}),
    ],
)
def test_real_files_are_read(read, name, page_facts):
    try:
        images = read(os.environ["NAP2_DATA"], name)
    except DataFileError as error:
        if "get it from" not in str(error):  # there, but not as it should be
            raise
        pytest.skip(str(error))
    assert len(images.train_images) == page_facts["train"]
    assert images.train_labels[:5].tolist() == page_facts.get("first", images.train_labels[:5].tolist())
    assert images.train_labels.unique().numel() == images.num_classes
    shown = images.train_images[:2000].double() / 255
    mean = images.mean.double()
    assert (shown.mean((0, 2, 3)) - mean.mean((1, 2))).abs().max() < 0.08  # App. D.2 holds for these files
