"""Batches: what they hold, in which order, and that nothing else than seed, dataset and step decides it."""

import numpy as np
import pytest
import torch
from fakes_images import noise

from data_modules.images import ImageDataModule, ImageSet, read_digits
from data_modules.images.augmentation import crop_and_flip, normalise
from data_modules.images.image_data_module import validation_indices
from nap2.errors import ConfigError


def image_set(num_train=22, num_test=9, name="x", size=6, **fields):
    mean, std = torch.tensor([0.4, 0.5, 0.6])[:, None, None], torch.tensor([0.2, 0.25, 0.3])[:, None, None]
    return ImageSet(
        name,
        torch.from_numpy(noise(num_train, 3, size, size)),
        torch.arange(num_train),
        torch.from_numpy(noise(num_test, 3, size, size, seed=1)),
        torch.arange(num_test),
        **{"num_classes": max(num_train, num_test), "mean": mean, "std": std, "crop_padding": 2, "flip": True} | fields,
    )


def train_batches(images=None, seed=4, start=0, steps=12, batch_size=5):
    module = ImageDataModule(images or image_set(), batch_size, seed, start, steps)
    return list(module.train_dataloader())


def assert_equal_batches(ours, theirs):
    assert len(ours) == len(theirs)
    assert all(
        torch.equal(a, b) for mine, other in zip(ours, theirs, strict=True) for a, b in zip(mine, other, strict=True)
    )


def test_crops_and_flips_agree_with_numpy():
    images, random = noise(40, 5, 7, 3), np.random.default_rng(1)
    corners, flips = random.integers(0, 5, (40, 2)), random.integers(0, 2, 40).astype(bool)
    ours = crop_and_flip(torch.from_numpy(images), torch.from_numpy(corners), torch.from_numpy(flips), 2)
    for image, (row, column), flip, result in zip(images, corners, flips, ours, strict=True):
        padded = np.pad(image[:, ::-1] if flip else image, ((2, 2), (2, 2), (0, 0)))
        np.testing.assert_array_equal(result, padded[row : row + 5, column : column + 7])


def test_normalisation_is_of_the_fraction():
    ours = normalise(torch.tensor([[[[0, 51, 255]]]], dtype=torch.uint8), torch.full((3,), 0.2), torch.full((3,), 0.5))
    torch.testing.assert_close(ours.flatten(), torch.tensor([-0.4, 0.0, 1.6]))


def test_a_mean_image_is_subtracted_before_images_move():
    images = image_set(mean=torch.from_numpy(noise(3, 6, 6, seed=3)) / 255, std=torch.ones(3, 1, 1))
    plain = {int(label): image for label, image in zip(images.train_labels, images.train_images, strict=True)}
    for batch, labels in train_batches(images):
        for image, label in zip(batch, labels, strict=True):
            centred = torch.nn.functional.pad(plain[int(label)] / 255 - images.mean, (2, 2, 2, 2))
            mirrored = torch.nn.functional.pad((plain[int(label)] / 255 - images.mean).flip(2), (2, 2, 2, 2))
            cuts = [c[:, i : i + 6, j : j + 6] for c in (centred, mirrored) for i in range(5) for j in range(5)]
            assert any(torch.allclose(image, cut, atol=1e-6) for cut in cuts)


def test_without_augmentation_images_are_only_normalised():
    images = image_set(crop_padding=0, flip=False)
    for batch, labels in train_batches(images):
        expected = (images.train_images[labels] / 255 - images.mean) / images.std
        torch.testing.assert_close(batch, expected)


def test_an_epoch_shows_every_image_once_and_keeps_the_last_batch():
    batches = train_batches(steps=10)
    assert [len(labels) for _, labels in batches] == [5, 5, 5, 5, 2] * 2
    for epoch in (batches[:5], batches[5:]):
        assert sorted(torch.cat([labels for _, labels in epoch]).tolist()) == list(range(22))
    orders = [torch.cat([labels for _, labels in part]).tolist() for part in (batches[:5], batches[5:])]
    assert orders[0] != orders[1]


def test_cifar_has_196_batches_an_epoch():
    module = ImageDataModule(image_set(num_train=50, size=1), 256, 4)
    assert module.batches_per_epoch == 1
    assert ImageDataModule(image_set(num_train=50_000, size=1), 256, 4).batches_per_epoch == 196


@pytest.mark.parametrize("start", [0, 1, 4, 5, 7, 11])
def test_a_batch_depends_on_its_step_alone(start):
    assert_equal_batches(train_batches(start=start, steps=12 - start), train_batches()[start:])


def test_batches_can_be_asked_for_in_any_order_and_again():
    loader = ImageDataModule(image_set(), 5, 4, num_steps=12).train_dataloader()
    expected = train_batches()
    for step in (11, 0, 6, 0, 11, 3):
        assert_equal_batches([loader.batch(step)], [expected[step]])
    assert_equal_batches(list(loader), list(loader))


def test_seed_and_dataset_decide():
    expected = train_batches()
    assert_equal_batches(train_batches(seed=4), expected)
    torch.manual_seed(123)  # the global state does not matter
    assert_equal_batches(train_batches(seed=4), expected)
    for other in (train_batches(seed=5), train_batches(image_set(name="y"))):
        assert any(not torch.equal(ours[1], theirs[1]) for ours, theirs in zip(other, expected, strict=True))


def test_drawing_batches_leaves_the_random_state_alone():
    before = torch.get_rng_state()
    train_batches()
    assert torch.equal(torch.get_rng_state(), before)


def test_batches_are_those_of_every_other_process_and_day():
    images, labels = ImageDataModule(read_digits(), 64, seed=4).train_dataloader().batch(25)
    assert labels[:12].tolist() == [9, 3, 6, 1, 0, 0, 0, 0, 4, 5, 7, 1]
    assert float(images.double().mean()) == pytest.approx(-0.0733280586591718, abs=1e-6)


def test_images_come_with_the_channels_last_in_memory():
    for fields in ({}, {"mean": torch.zeros(3, 6, 6)}, {"crop_padding": 0, "flip": False}):
        for images, _ in train_batches(image_set(**fields)):
            assert images.is_contiguous(memory_format=torch.channels_last)
            assert images.dtype == torch.float32


def test_validation_uses_fixed_test_images():
    few, many = validation_indices("cifar10", 2000), validation_indices("cifar10", 10_000)
    assert few is None
    assert len(set(many.tolist())) == 2000
    assert torch.equal(many, validation_indices("cifar10", 10_000))
    assert not torch.equal(many, validation_indices("cifar100", 10_000))
    module = ImageDataModule(image_set(num_test=2600, size=1), 5, seed=1)
    assert sum(len(labels) for _, labels in module.val_dataloader()) == 2000
    assert torch.equal(torch.cat([labels for _, labels in module.test_dataloader()]), torch.arange(2600))
    other = ImageDataModule(image_set(num_test=2600, size=1), 7, seed=2)
    assert_equal_batches(list(other.val_dataloader()), list(module.val_dataloader()))


def test_test_images_are_normalised_and_never_moved():
    images = image_set()
    ((batch, labels),) = ImageDataModule(images, 5, seed=1).test_dataloader()
    torch.testing.assert_close(batch, (images.test_images / 255 - images.mean) / images.std)
    assert torch.equal(labels, images.test_labels)


def test_runs_share_the_images():
    module = ImageDataModule(image_set(), 5, seed=4)
    run = module.for_run(seed=9, start_step=3, num_steps=2, device="cpu")
    assert run.train_dataloader().images is module.train_dataloader().images
    assert_equal_batches(list(run.train_dataloader()), train_batches(seed=9, start=3, steps=2))


def test_numbers_out_of_range_are_refused():
    for wrong in ({"batch_size": 0}, {"batch_size": 5, "start_step": -1}, {"batch_size": 5, "num_steps": -1}):
        with pytest.raises(ConfigError, match="too small"):
            ImageDataModule(image_set(), seed=4, **wrong)


@pytest.mark.usefixtures("gpu")
@pytest.mark.parametrize("fields", [{}, {"mean": torch.full((3, 6, 6), 0.4)}, {"crop_padding": 0, "flip": False}])
def test_a_gpu_draws_the_same_batches(fields):
    run = ImageDataModule(image_set(**fields), 5, 4, 0, 12, device="cuda")
    for (ours, labels), (theirs, expected) in zip(
        run.train_dataloader(), train_batches(image_set(**fields)), strict=True
    ):
        assert ours.is_cuda
        assert ours.is_contiguous()  # as cuDNN's kernels for float32 read them best
        torch.testing.assert_close(ours.cpu(), theirs)
        assert torch.equal(labels.cpu(), expected)
