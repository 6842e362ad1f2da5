"""scikit-learn's digits: 1,797 scanned 8×8 digits that come with the library, so that the demo needs no download."""

import numpy as np
import torch

from data_modules.images.image_set import ImageSet, channel_statistics
from nap2.seeding import generator

NUM_TEST = 500


def read_digits(num_test: int = NUM_TEST) -> ImageSet:
    """Digits, grey repeated over three channels (the published stem reads three), split once and for all.

    Args:
        num_test: test images; the other images are for training.
    """
    from sklearn.datasets import load_digits

    bunch = load_digits()
    grey = np.rint(bunch.images * (255 / 16)).astype(np.uint8)  # [N, 8, 8], 0..16 in the file
    images = torch.from_numpy(grey)[:, None].expand(-1, 3, -1, -1).contiguous()
    labels = torch.from_numpy(bunch.target.astype(np.int64))
    order = torch.randperm(len(labels), generator=generator("digits", "split"))
    test, train = order[:num_test].sort().values, order[num_test:].sort().values
    mean, std = channel_statistics(images[train])
    return ImageSet(
        name="digits",
        train_images=images[train],
        train_labels=labels[train],
        test_images=images[test],
        test_labels=labels[test],
        num_classes=10,
        mean=mean,
        std=std,
        crop_padding=1,
        flip=False,  # a mirrored digit is another sign
    )
