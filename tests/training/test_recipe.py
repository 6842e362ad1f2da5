from dataclasses import replace
from pathlib import Path

import pytest
import torch
from omegaconf import OmegaConf
from torch import nn

from nap2.errors import ConfigError, UnknownNameError
from nap2.training.recipe import RECIPES, Recipe

CONF = Path(__file__).resolve().parents[2] / "conf" / "recipe"
VALUES = RECIPES["nasbench201"].as_dict()


@pytest.mark.parametrize("path", sorted(CONF.glob("*.yaml")), ids=lambda path: path.stem)
def test_config_and_code_hold_the_same_recipe(path):
    assert Recipe.from_dict(OmegaConf.to_container(OmegaConf.load(path))) == RECIPES[path.stem]


def test_every_recipe_has_its_config():
    assert {path.stem for path in CONF.glob("*.yaml")} == set(RECIPES)


def test_nasbench201_is_as_published():
    assert VALUES == {
        "name": "nasbench201",
        "optimizer": "sgd",
        "lr": 0.1,
        "momentum": 0.9,
        "nesterov": True,
        "weight_decay": 5e-4,
        "batch_size": 256,
        "epochs": 200,
        "schedule": "cosine",
        "seed": 4,
    }


def test_the_cosine_agrees_with_torch():
    recipe, weight = RECIPES["nasbench201"], nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([weight], lr=recipe.lr)
    reference = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=recipe.epochs)
    for epoch in range(recipe.epochs):
        assert recipe.learning_rate(epoch) == pytest.approx(optimizer.param_groups[0]["lr"], abs=1e-12)
        optimizer.step()
        reference.step()
    assert replace(recipe, schedule="constant").learning_rate(150) == 0.1


def test_sgd_decays_and_looks_ahead_as_defined():
    recipe = RECIPES["nasbench201"]
    weight = nn.Parameter(torch.tensor([2.0, -1.0], dtype=torch.float64))
    optimizer, expected, velocity = recipe.build_optimizer([weight]), weight.detach().clone(), torch.zeros(2).double()
    for step in range(5):
        weight.grad = torch.tensor([0.5, 1.0 - step], dtype=torch.float64)
        slope = weight.grad + recipe.weight_decay * expected
        velocity = recipe.momentum * velocity + slope
        expected = expected - recipe.lr * (slope + recipe.momentum * velocity)
        optimizer.step()
        torch.testing.assert_close(weight.detach(), expected, rtol=1e-12, atol=0)


def test_adamw_decay_is_decoupled():
    recipe = RECIPES["nasbench201_adamw"]
    weight = nn.Parameter(torch.tensor([2.0]))
    weight.grad = torch.zeros(1)
    recipe.build_optimizer([weight]).step()
    torch.testing.assert_close(weight.detach(), torch.tensor([2.0 * (1 - 1e-3 * 5e-2)]))


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"optimizer": "sdg"}, UnknownNameError, "Did you mean 'sgd'"),
        ({"schedule": "cosin"}, UnknownNameError, "Did you mean 'cosine'"),
        ({"lr": 0.0}, ConfigError, r"recipe\.lr=0\.0 must be above 0"),
        ({"lr": float("nan")}, ConfigError, "must be above 0"),
        ({"lr": float("inf")}, ConfigError, r"recipe\.lr=inf must be above 0 and finite"),
        ({"momentum": 0}, ConfigError, r"recipe\.momentum is 0; set recipe\.nesterov=false"),
        ({"epochs": -1}, ConfigError, r"recipe\.epochs=-1"),
        ({"epochs": 1.5}, ConfigError, r"recipe\.epochs=1\.5 must be a whole number\.$"),
        ({"batch_size": True}, ConfigError, "True must be a whole number"),
        ({"weight_decay": -0.1}, ConfigError, "must not be negative"),
        ({"nesterov": "yes"}, ConfigError, "'yes' must be true or false"),
        ({"wieght_decay": 0.1}, UnknownNameError, "Did you mean 'weight_decay'"),
    ],
)
def test_a_wrong_value_is_refused(change, error, message):
    with pytest.raises(error, match=message):
        Recipe.from_dict({**VALUES, **change})


def test_a_missing_value_is_named():
    with pytest.raises(ConfigError, match="lacks lr, seed"):
        Recipe.from_dict({name: value for name, value in VALUES.items() if name not in ("lr", "seed")})


def test_a_whole_number_may_stand_for_a_float():
    assert Recipe.from_dict({**VALUES, "lr": 1, "weight_decay": 0}).lr == 1.0


def test_results_name_a_recipe_with_what_is_not_that_of_its_name() -> None:
    recipe = RECIPES["nasbench201"]
    assert recipe.label == replace(recipe, seed=5).label == "nasbench201"
    assert replace(recipe, lr=0.3, precision="bf16").label == "nasbench201, lr 0.3, precision bf16"
    assert replace(recipe, name="mine", lr=0.3).label == "mine"
