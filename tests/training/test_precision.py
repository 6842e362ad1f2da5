"""bf16 is an option that changes gradients, and therefore who a candidate is; float32 candidates stay who they were."""

from dataclasses import replace

import pytest
import torch
from fakes_training import ARCH, DEAD_ARCH, RECIPE, FakeWriter, tiny_candidate, tiny_data
from torch.utils._python_dispatch import TorchDispatchMode

from nap2.errors import UnknownNameError
from nap2.inference.training_remarks import recipe_remarks
from nap2.snapshots.manifest import Candidate, Setting
from nap2.training.recipe import RECIPES, Recipe
from nap2.training.train_candidate import train_candidate

BF16 = replace(RECIPE, precision="bf16")
FULL = {"num_classes": 10, "stem_channels": 16, "cells_per_stage": 5}
PUBLISHED = (
    "|nor_conv_3x3~0|+|avg_pool_3x3~0|avg_pool_3x3~1|+|nor_conv_3x3~0|nor_conv_1x1~1|skip_connect~2|",
    "|nor_conv_1x1~0|+|nor_conv_3x3~0|nor_conv_1x1~1|+|none~0|nor_conv_3x3~1|skip_connect~2|",
)


def trained(folder, recipe, arch_str=ARCH, **options):
    folder.mkdir()
    writer = FakeWriter(folder)
    train_candidate(tiny_candidate(arch_str, recipe=recipe), tiny_data(recipe), writer, 2, **options)
    return writer


@pytest.mark.parametrize(
    ("recipe", "arch_str", "expected"),
    [
        ("nasbench201", PUBLISHED[0], "021329dc119e9060"),
        ("nasbench201", PUBLISHED[1], "52ecec24aa5e63e6"),
        ("nasbench201_adamw", PUBLISHED[1], None),
    ],
)
def test_float32_candidates_have_the_ids_they_had_before_there_was_a_choice(recipe, arch_str, expected):
    values = RECIPES[recipe].as_dict()
    assert "precision" not in values
    assert Recipe.from_dict(values) == RECIPES[recipe]
    assert Recipe.from_dict({**values, "precision": "float32"}).as_dict() == values
    if expected is not None:
        assert Candidate(Setting("nasbench201", FULL, "cifar10", values, 100), arch_str, seed=4).id == expected


def test_bf16_candidates_belong_to_another_store():
    usual, other = tiny_candidate(), tiny_candidate(recipe=BF16)
    assert usual.id != other.id
    assert other.setting.differences(usual.setting) == ["recipe.precision: 'bf16' ≠ None"]
    assert Recipe.from_dict(other.setting.recipe) == BF16


def test_an_unknown_precision_is_refused():
    with pytest.raises(UnknownNameError, match=r"recipe\.precision.* 'bf61'.*Did you mean 'bf16'"):
        replace(RECIPE, precision="bf61")


class Dtypes(TorchDispatchMode):
    """The types of what convolutions compute."""

    def __init__(self):
        super().__init__()
        self.found = set()

    def __torch_dispatch__(self, function, types, arguments=(), options=None):
        result = function(*arguments, **(options or {}))
        if function is torch.ops.aten.convolution.default:
            self.found.add(result.dtype)
        return result


@pytest.mark.parametrize(("recipe", "expected"), [(RECIPE, torch.float32), (BF16, torch.bfloat16)])
def test_convolutions_of_training_compute_in_the_recipes_precision(tmp_path, recipe, expected):
    with Dtypes() as dtypes:
        run = trained(tmp_path / "run", recipe)
    assert expected in dtypes.found
    assert dtypes.found <= {expected, torch.float32}  # accuracies are measured in float32
    assert run.trajectory.values.dtype == torch.float32
    assert run.trajectory.values.isfinite().all()


def test_bf16_shows_other_gradients_of_nearly_the_same_weights(tmp_path):
    usual, other = trained(tmp_path / "usual", RECIPE), trained(tmp_path / "other", BF16)
    assert not torch.equal(usual.trajectory.values, other.trajectory.values)
    torch.testing.assert_close(
        torch.tensor(other.curve.train_loss), torch.tensor(usual.curve.train_loss), rtol=0.05, atol=0.05
    )


def test_a_predictor_of_the_other_precision_says_so():
    assert recipe_remarks(BF16, BF16, "both", False) == []
    (remark,) = recipe_remarks(RECIPE, BF16, "both", False)
    assert str(remark.text).endswith(", and in float32, not bf16")


def test_bf16_training_is_repeatable(tmp_path):
    one, two = trained(tmp_path / "one", BF16), trained(tmp_path / "two", BF16)
    assert torch.equal(one.trajectory.values, two.trajectory.values)
    assert one.curve.train_loss == two.curve.train_loss


def test_pruning_changes_a_bf16_run_by_rounding_at_most(tmp_path):
    pruned, whole = (trained(tmp_path / str(prune), BF16, DEAD_ARCH, prune=prune) for prune in (True, False))
    torch.testing.assert_close(
        torch.tensor(pruned.curve.train_loss), torch.tensor(whole.curve.train_loss), rtol=0.02, atol=0.02
    )
