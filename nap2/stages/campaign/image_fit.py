"""Whether a space's networks can train on a set of images: that is decided once, and no candidate is to blame."""

from typing import Protocol

import torch
from torch import Tensor

from nap2.errors import ConfigError
from nap2.seeding import forked_random_state
from nap2.snapshots.manifest import Candidate
from nap2.spaces import SPACES
from nap2.training.recipe import Recipe


class Images(Protocol):
    """What decides it; `data_modules.images.ImageSet` is one."""

    name: str
    num_classes: int
    train_labels: Tensor

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """`(C, H, W)`."""


def check_fit(candidate: Candidate, images: Images, num_snapshots: int) -> None:
    """Compare numbers, and send shapes alone through the candidate's network, as many as an epoch's smallest batch has.

    Raises:
        NetworkError: if the space's networks read no images of this size.
        ConfigError: if they have another number of classes, if the recipe ends before the last snapshot, or if the
            networks cannot train on the last, smallest batch.
    """
    setting, num_images = candidate.setting, len(images.train_labels)
    if (classes := setting.skeleton.get("num_classes")) != images.num_classes:
        raise ConfigError(f"dataset.num_classes={classes}, but {images.name} has {images.num_classes} classes.")
    batch_size = int(setting.recipe["batch_size"])
    smallest = num_images % batch_size or batch_size
    with torch.device("meta"), forked_random_state():
        network = SPACES[setting.space].build(candidate.arch_str, **setting.skeleton)
        shapes = torch.empty(smallest, *images.image_shape)
    try:
        network(shapes)
    except ValueError as error:  # of batch normalisation
        raise ConfigError(
            f"recipe.batch_size={batch_size} leaves a last batch of {smallest} of the {num_images} images of "
            f"{images.name}, too few for batch normalisation ({error}); use another batch size or larger images."
        ) from error
    Recipe.from_dict(setting.recipe).check_length(num_snapshots, setting.every, -(-num_images // batch_size))
