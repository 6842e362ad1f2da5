"""What of a short training is unlike the training candidates' own, whatever the network."""

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from nap2.errors import counted
from nap2.inference.scope import GRADIENTS_ALONE, TOLERANCE, Remark
from nap2.inference.training_loop import epoch_of
from nap2.training.recipe import Recipe

DECIDING = ("optimizer", "lr", "momentum", "nesterov", "weight_decay", "precision")
"""What of a recipe decides the first mini-batches."""
KEPT_RATE = 0.75
"""A learning rate that falls below this share of the first is remarked on: candidates see a few epochs of many."""


@dataclass(frozen=True)
class Training:
    """How networks are trained for a query.

    Attributes:
        recipe: the values.
        query_batches: mini-batches of each network.
        batch_size: inputs of a mini-batch.
        batches_per_epoch: of the loader; 0 where it does not say.
    """

    recipe: Recipe
    query_batches: int
    batch_size: int
    batches_per_epoch: int


def dtype_remarks(dtypes: Iterable[torch.dtype]) -> list[Remark]:
    """Where weights, and so their gradients, are kept in half precision; candidates keep both in float32."""
    half = sorted({str(dtype).removeprefix("torch.") for dtype in dtypes if dtype.itemsize < torch.float32.itemsize})
    if not half:
        return []
    text = (
        f"its weights are {' and '.join(half)}, those of the networks that the predictor was trained on float32, so "
        "its gradients are rounded; rank it as model.float() on float32 inputs"
    )
    return [Remark("dtype", text)]


def output_remarks(logits: Tensor) -> list[Remark]:
    """Where a network's outputs `[B, classes]` sum to 1 already: the cross-entropy takes a softmax of them again."""
    sums = logits.double().sum(1)
    if bool((logits < 0).any()) or not torch.allclose(sums, torch.ones_like(sums), atol=1e-2):
        return []
    text = (
        "its outputs are probabilities, and the cross-entropy takes a softmax of them again, so its gradients are "
        "small; rank it without its last softmax"
    )
    return [Remark("outputs", text)]


def training_remarks(training: Training, own: Recipe | None, modality: str, has_gradients_alone: bool) -> list[Remark]:
    """Every doubt about a training; `own` is how the candidates were trained, None where the predictor does not say."""
    used, found = training.recipe, rate_remarks(training)
    if own is None:
        text = f"the predictor does not say how its own networks were trained; this one was by recipe {used.name}"
        return [Remark("recipe", text), *found]
    of_recipe = recipe_remarks(used, own, modality, has_gradients_alone)
    return of_recipe + batch_remarks(training.batch_size, own) + found


def recipe_remarks(used: Recipe, own: Recipe, modality: str, has_gradients_alone: bool) -> list[Remark]:
    """Where a recipe moves weights otherwise than the training candidates' own did."""
    if all(getattr(used, name) == getattr(own, name) for name in DECIDING):
        return []
    text = (
        f"it was trained with {used.optimizer} at lr {used.lr:g} (recipe {used.name}), the networks that the predictor "
        f"was trained on with {own.optimizer} at lr {own.lr:g} (recipe {own.name})"
    )
    if used.precision != own.precision:
        text += f", and in {used.precision}, not {own.precision}"
    offer = (
        f"; {GRADIENTS_ALONE}" if used.optimizer != own.optimizer and modality == "both" and has_gradients_alone else ""
    )
    return [Remark("recipe", text + offer)]


def batch_remarks(batch_size: int, own: Recipe) -> list[Remark]:
    """Where mini-batches are of another size than the training candidates' own: the fewer inputs, the more noise."""
    if own.batch_size / TOLERANCE <= batch_size <= own.batch_size * TOLERANCE:
        return []
    text = (
        f"its mini-batches hold {counted(batch_size, 'input')}, those of the networks that the predictor was trained "
        f"on {own.batch_size}"
    )
    return [Remark("batch_size", text)]


def rate_remarks(training: Training) -> list[Remark]:
    """Where a loader is so short that its epochs, counted by the schedule, use up the learning rate."""
    recipe, steps = training.recipe, (0, training.query_batches - 1)
    first, last = (recipe.learning_rate(epoch_of(step, training.batches_per_epoch, recipe)) for step in steps)
    if last >= KEPT_RATE * first:
        return []
    text = (
        f"its learning rate fell from {first:g} to {last:.2g} by mini-batch {training.query_batches}, as an epoch of "
        f"the loader is {counted(training.batches_per_epoch, 'mini-batch', 'mini-batches')}; pass more data, or a "
        "Recipe with schedule='constant'"
    )
    return [Remark("learning_rate", text)]
