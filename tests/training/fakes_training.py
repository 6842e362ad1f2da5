"""Tiny images, candidates and a writer that keeps what it is given."""

from dataclasses import replace
from pathlib import Path

import torch

from data_modules.images import ImageDataModule, ImageSet
from nap2.snapshots.curve import Curve
from nap2.snapshots.manifest import Candidate, Setting
from nap2.snapshots.trajectory import Trajectory
from nap2.training.recipe import RECIPES, Recipe

ARCH = "|nor_conv_3x3~0|+|nor_conv_1x1~0|none~1|+|skip_connect~0|nor_conv_3x3~1|avg_pool_3x3~2|"
DEAD_ARCH = "|nor_conv_3x3~0|+|nor_conv_1x1~0|none~1|+|skip_connect~0|none~1|avg_pool_3x3~2|"
"""Its first convolution leads nowhere."""
NONE_ARCH = "|none~0|+|none~0|none~1|+|none~0|none~1|none~2|"

RECIPE = replace(RECIPES["digits"], name="tiny", batch_size=8, epochs=4, lr=0.05)
"""Of the 44 tiny images: 6 mini-batches an epoch, the last of 4; 24 in all."""


def tiny_images(num_train: int = 44, num_test: int = 20, size: int = 8, classes: int = 3, **fields) -> ImageSet:
    """Noise whose brightness tells the class."""
    random = torch.Generator().manual_seed(0)

    def draw(count):
        labels = torch.arange(count) % classes
        noise = torch.randint(0, 120, (count, 3, size, size), generator=random)
        return (noise + 40 * labels[:, None, None, None]).to(torch.uint8), labels

    train, test = draw(num_train), draw(num_test)
    half = torch.full((3, 1, 1), 0.5)
    fields = {"name": "tiny", "mean": half, "std": half, "crop_padding": 1, "flip": True} | fields
    return ImageSet(
        train_images=train[0],
        train_labels=train[1],
        test_images=test[0],
        test_labels=test[1],
        num_classes=classes,
        **fields,
    )


def tiny_data(recipe: Recipe = RECIPE, **fields) -> ImageDataModule:
    """The data module of `tiny_images`; its own seed must not matter to a candidate."""
    return ImageDataModule(tiny_images(**fields), recipe.batch_size, seed=99)


def tiny_candidate(arch_str: str = ARCH, every: int = 5, seed: int = 4, recipe: Recipe = RECIPE) -> Candidate:
    """A 4-channel NAS-Bench-201 network with one cell per stage."""
    skeleton = {"num_classes": 3, "stem_channels": 4, "cells_per_stage": 1}
    return Candidate(Setting("nasbench201", skeleton, "tiny", recipe.as_dict(), every), arch_str, seed)


class FakeWriter:
    """Keeps the result of one candidate."""

    def __init__(self, folder: Path) -> None:
        self.state_path = folder / "state.pt"
        self.trajectory: Trajectory | None = None
        self.curve: Curve | None = None
        self.device: str | None = None

    def finish(self, trajectory: Trajectory, curve: Curve, keep_state: bool, device: str) -> None:
        self.trajectory, self.curve, self.device = trajectory, curve, device
        if not keep_state:
            self.state_path.unlink(missing_ok=True)
