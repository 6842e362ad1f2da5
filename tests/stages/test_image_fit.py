"""Images that no candidate could train on are refused once, and not candidate by candidate."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import train
from data_modules.images import ImageSet
from nap2.errors import ConfigError, NetworkError
from nap2.snapshots.manifest import Candidate, Setting
from nap2.stages.campaign.image_fit import check_fit
from nap2.training.recipe import RECIPES

ARCH = "|nor_conv_3x3~0|+|none~0|none~1|+|skip_connect~0|none~1|avg_pool_3x3~2|"


def images(num_train: int, size: int) -> ImageSet:
    def some(count: int) -> tuple[torch.Tensor, torch.Tensor]:
        return torch.zeros(count, 3, size, size, dtype=torch.uint8), torch.arange(count) % 2

    half = torch.full((3, 1, 1), 0.5)
    return ImageSet("mine", *some(num_train), *some(2), num_classes=2, mean=half, std=half)


def candidate(batch_size: int) -> Candidate:
    recipe = replace(RECIPES["digits"], batch_size=batch_size).as_dict()
    skeleton = {"num_classes": 2, "stem_channels": 4, "cells_per_stage": 1}
    return Candidate(Setting("nasbench201", skeleton, "mine", recipe, 5), ARCH, 4)


@pytest.mark.parametrize(("num_train", "size"), [(8, 8), (9, 8), (1, 8), (3, 8), (10, 4), (16, 4)])
def test_what_can_be_trained_on_is_accepted_and_no_random_number_drawn(num_train: int, size: int) -> None:
    before = torch.get_rng_state()
    check_fit(candidate(batch_size=8), images(num_train, size), 1)
    assert torch.equal(torch.get_rng_state(), before)


def test_a_size_that_the_space_cannot_read_is_refused() -> None:
    with pytest.raises(NetworkError, match=r"divisible by 4, not .*6, 6"):
        check_fit(candidate(batch_size=8), images(8, size=6), 1)


def test_a_last_batch_that_is_too_small_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"batch_size=8 leaves a last batch of 1 of the 9 images of mine, too few"):
        check_fit(candidate(batch_size=8), images(9, size=4), 1)


def test_a_recipe_that_ends_before_the_last_snapshot_is_refused() -> None:
    """Once there is a store, the interval that the message advises is another setting."""
    check_fit(candidate(batch_size=8), images(8, size=8), 3)
    with pytest.raises(ConfigError, match=r"4 snapshots every 5 steps do not fit into the 15 steps .* take 1 to 3"):
        check_fit(candidate(batch_size=8), images(8, size=8), 4)


def test_another_number_of_classes_is_refused() -> None:
    with pytest.raises(ConfigError, match="num_classes=2, but mine has 3 classes"):
        check_fit(candidate(batch_size=8), replace(images(8, size=8), num_classes=3), 1)


@pytest.mark.slow
def test_it_is_refused_before_there_is_a_store(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    np.savez(tmp_path / "x.npz", images=np.zeros((20, 6, 6), np.uint8), labels=np.arange(20) % 2)
    mine = ["dataset=own_npz", "dataset.name=mine", "dataset.num_classes=2", f"dataset.reader.path={tmp_path}/x.npz"]
    folders = [f"paths.store={tmp_path}/store", f"paths.runs={tmp_path}/runs"]
    wanted = ["snapshot.num_candidates=2", "snapshot.every=1"]
    assert train.main(["stage=snapshot", "experiment=digits", *mine, *folders, *wanted]) == 2
    assert "H and W divisible by 4" in capsys.readouterr().err
    np.savez(tmp_path / "x.npz", images=np.zeros((20, 8, 8), np.uint8), labels=np.arange(20) % 2)
    long = [*mine, *folders, "snapshot.num_candidates=2", "snapshot.every=100"]
    assert train.main(["stage=snapshot", "experiment=digits", *long]) == 2
    assert "do not fit into" in capsys.readouterr().err
    assert (
        train.main(
            [
                "stage=snapshot",
                "experiment=digits",
                *mine,
                *folders,
                *wanted,
                "snapshot.num_snapshots=3",
                "dataset.num_train=20",
            ]
        )
        == 2
    )
    assert "dataset.num_train=20, but mine has 16 training images" in capsys.readouterr().err
    assert not (tmp_path / "store").exists()
