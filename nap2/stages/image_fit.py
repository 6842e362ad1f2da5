"""Whether a space's networks can train on a set of images: that is decided once, and no candidate is to blame."""

from typing import Protocol

import torch
from torch import Tensor

from nap2.errors import ConfigError
from nap2.seeding import forked_random_state
from nap2.snapshots.manifest import Candidate
from nap2.spaces import SPACES


class Images(Protocol):
    """What decides it; `data_modules.images.ImageSet` is one."""

    name: str
    train_labels: Tensor

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """`(C, H, W)`."""


def check_fit(candidate: Candidate, images: Images) -> None:
    """Send shapes alone through the candidate's network, as many as the smallest batch of an epoch has.

    Raises:
        NetworkError: if the space's networks read no images of this size.
        ConfigError: if they cannot train on the last, smallest batch.
    """
    setting, num_images = candidate.setting, len(images.train_labels)
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
