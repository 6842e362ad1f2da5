"""Training recipes: every value that decides how a candidate's weights move, and where it comes from."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from types import MappingProxyType
from typing import Any

from torch import nn, optim

from nap2.errors import FORMS, ConfigError, check_name, counted, kind_of

OPTIMIZERS = ("adamw", "sgd")
SCHEDULES = ("constant", "cosine")
PRECISIONS = ("bf16", "float32")


@dataclass(frozen=True)
class Recipe:
    """How a candidate is trained; cross-entropy, deterministic.

    Attributes:
        name: names the recipe; the values decide, and results say what differs from those of this name (`label`).
        optimizer: one of `OPTIMIZERS`.
        lr: learning rate of the first epoch.
        momentum: of SGD; AdamW keeps torch's betas (0.9, 0.999).
        nesterov: of SGD.
        weight_decay: on every parameter, normalisation and biases included; decoupled for AdamW.
        batch_size: images per mini-batch.
        epochs: whole passes over the training images.
        schedule: `cosine` from `lr` to 0 over all epochs, stepped once an epoch, or `constant`.
        seed: of candidates that name no other.
        precision: `float32`, without TF32; or `bf16`: convolutions, products and what lies between them in bfloat16
            (autocast), weights, gradients and the loss in float32. Gradients, and so the feature maps, are others.
    """

    name: str
    optimizer: str
    lr: float
    momentum: float
    nesterov: bool
    weight_decay: float
    batch_size: int
    epochs: int
    schedule: str
    seed: int
    precision: str = "float32"

    def __post_init__(self) -> None:
        check_name("optimizer (recipe.optimizer)", self.optimizer, OPTIMIZERS)
        check_name("schedule (recipe.schedule)", self.schedule, SCHEDULES)
        check_name("precision (recipe.precision)", self.precision, PRECISIONS)
        for name in ("lr", "batch_size", "epochs"):
            if not 0 < getattr(self, name) < math.inf:
                raise ConfigError(f"recipe.{name}={getattr(self, name)} must be above 0 and finite.")
        for name in ("momentum", "weight_decay"):
            if not 0 <= getattr(self, name) < math.inf:
                raise ConfigError(f"recipe.{name}={getattr(self, name)} must not be negative or infinite.")
        if self.optimizer == "sgd" and self.nesterov and not self.momentum:
            raise ConfigError(
                "recipe.nesterov=true looks ahead along the momentum, but recipe.momentum is 0; set "
                "recipe.nesterov=false, or a momentum."
            )

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Recipe":
        """A recipe from plain values.

        Raises:
            ConfigError, UnknownNameError: if one is missing, unknown, of the wrong type or out of range.
        """
        known = {field.name: field.type for field in fields(cls)}
        for name in values:
            check_name("recipe value", name, known)
        if absent := sorted(known.keys() - values.keys() - {"precision"}):
            raise ConfigError(f"The recipe lacks {', '.join(absent)}; conf/recipe/ shows complete ones.")
        return cls(**{name: _typed(name, known[name], value) for name, value in values.items()})

    def as_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON; part of a candidate's identity.

        The usual precision is left out: stores made before there was another one keep their candidates.
        """
        values = asdict(self)
        if self.precision == "float32":
            del values["precision"]
        return values

    @property
    def label(self) -> str:
        """How results name it: the name, and each value that is not that of the recipe of this name, seeds aside."""
        named = RECIPES.get(self.name, self)
        own = {field.name: getattr(self, field.name) for field in fields(self) if field.name != "seed"}
        changed = (f"{name} {value}" for name, value in own.items() if value != getattr(named, name))
        return ", ".join((self.name, *changed))

    def learning_rate(self, epoch: int) -> float:
        """The learning rate of an epoch, counted from 0."""
        if self.schedule == "constant":
            return self.lr
        return self.lr * (1 + math.cos(math.pi * epoch / self.epochs)) / 2

    def check_length(self, num_snapshots: int, every: int, batches_per_epoch: int) -> None:
        """Refuse more snapshots than the whole run has steps for.

        Raises:
            ConfigError: with what would fit.
        """
        whole = self.epochs * batches_per_epoch
        if num_snapshots < 1 or num_snapshots * every > whole:
            most = whole // every
            advice = (
                f"take 1 to {most}"
                if most
                else f"lower snapshot.every to at most {whole // max(1, num_snapshots) or 1}"
            )
            raise ConfigError(
                f"{counted(num_snapshots, 'snapshot')} every {every} steps do not fit into the {whole} steps of "
                f"recipe {self.name} ({counted(self.epochs, 'epoch')}); {advice}."
            )

    def build_optimizer(self, parameters: Iterable[nn.Parameter]) -> optim.Optimizer:
        """The optimizer, at the learning rate of the first epoch; fused, which spares small networks 1 ms a step.

        Torch fuses floating-point parameters alone; with others (complex ones) the update is the same, unfused.
        """
        parameters = list(parameters)
        is_fused = all(parameter.is_floating_point() for parameter in parameters)
        if self.optimizer == "adamw":
            return optim.AdamW(parameters, lr=self.lr, weight_decay=self.weight_decay, fused=is_fused)
        return optim.SGD(
            parameters,
            lr=self.lr,
            momentum=self.momentum,
            nesterov=self.nesterov,
            weight_decay=self.weight_decay,
            fused=is_fused,
        )


def _typed(name: str, kind: Any, value: Any) -> Any:
    """`value` as `kind`; a whole number may stand for a float, nothing else is converted."""
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise ConfigError(f"recipe.{name}={value!r} must be {FORMS[kind]}.")
    return value


NASBENCH201 = Recipe(
    name="nasbench201",  # Dong & Yang 2020, Table 3; App. D.5
    optimizer="sgd",
    lr=0.1,
    momentum=0.9,
    nesterov=True,
    weight_decay=5e-4,
    batch_size=256,
    epochs=200,
    schedule="cosine",
    seed=4,  # App. E.2, Table 20
)
NASBENCH201_ADAMW = Recipe(
    name="nasbench201_adamw",  # App. I: another optimizer, the rest unchanged
    optimizer="adamw",
    lr=1e-3,
    momentum=0.0,
    nesterov=False,
    weight_decay=5e-2,
    batch_size=256,
    epochs=200,
    schedule="cosine",
    seed=4,
)
DIGITS = Recipe(
    name="digits",  # the demo's: NASBENCH201 with small batches and few epochs, for 1,297 images
    optimizer="sgd",
    lr=0.1,
    momentum=0.9,
    nesterov=True,
    weight_decay=5e-4,
    batch_size=64,
    epochs=15,
    schedule="cosine",
    seed=4,
)

RECIPES: Mapping[str, Recipe] = MappingProxyType(
    {recipe.name: recipe for recipe in (NASBENCH201, NASBENCH201_ADAMW, DIGITS)}
)


def recipe_named(recipe: str | Recipe | None, default: Recipe | None = None) -> Recipe:
    """A recipe as it is, the one of this name, or the default; `nasbench201` where there is none.

    Raises:
        ConfigError: if it is neither a recipe nor a name.
        UnknownNameError: if there is none of this name.
    """
    if isinstance(recipe, Recipe):
        return recipe
    if recipe is None:
        return default or NASBENCH201
    if not isinstance(recipe, str):
        raise ConfigError(
            f"A recipe is a Recipe, its name or None, not {kind_of(recipe)}; Recipe.from_dict makes one of a "
            "dictionary."
        )
    check_name("recipe", recipe, RECIPES)
    return RECIPES[recipe]
