"""Networks that are trained for one query each: architectures of the space, or importable models."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import nn

from nap2.config import Config
from nap2.errors import ConfigError, counted
from nap2.inference import Predictor, Ranking
from nap2.inference.importing import models_from, placed
from nap2.inference.ranking import OnBatch
from nap2.seeding import forked_random_state
from nap2.stages.campaign.training import trainer_parts
from nap2.stages.command.console import console, progress_bar, say
from nap2.stages.command.parts import built
from nap2.stages.pool.candidates import draw, read_arch_strs, space_of
from nap2.training.recipe import Recipe

DEFAULT_COUNT = 10


def rank_trained(config: Config, predictor: Predictor, query_batches: int, device: torch.device) -> list[Ranking]:
    """Every network of the config, trained for the query on the config's images."""
    recipe, parts = Recipe.from_dict(config.recipe), trainer_parts(config)
    models = placed(models_of(config, recipe.seed), device)
    data = built(
        parts["images"],
        image_set=built(parts["reader"]),
        batch_size=recipe.batch_size,
        seed=recipe.seed,
        num_steps=query_batches,
        device=config.trainer.device,
    )
    data.setup("fit")
    say(f"ranking {counted(len(models), 'network')} after {counted(query_batches, 'mini-batch', 'mini-batches')} each")
    with _progress(list(models), query_batches) as on_batch:
        return predictor.rank(
            models,
            data.train_dataloader(),
            query_batches,
            recipe,
            modality=config.rank.modality,
            on_batch=on_batch,
        )


def models_of(config: Config, seed: int) -> dict[str, nn.Module]:
    """What the config asks to rank, by name.

    Raises:
        ConfigError, UnknownNameError, ArchStringError: if it cannot be had.
    """
    options = config.rank
    if options.models:
        return models_from(_entries(options.models), seed)
    space = space_of(config)
    if options.candidates:
        names = read_arch_strs(Path(options.candidates), space)
    else:
        names = list(options.arch_strs) or draw(space, DEFAULT_COUNT, config.seed, one_per_class=True)
    for name in names:
        space.check(name)
    models = {}
    with forked_random_state(seed):
        for name in names:
            torch.manual_seed(seed)
            models[name] = space.build(name, **config.space.skeleton)
    return models


def _entries(models: Any) -> Sequence[str] | Mapping[str, str]:
    if isinstance(models, str):
        return [models]
    values = list(models.values()) if isinstance(models, Mapping) else models
    if not isinstance(values, Sequence) or not all(isinstance(value, str) for value in values):
        raise ConfigError(f"rank.models={models!r} must list module:attribute, or map names to module:attribute.")
    entries: Sequence[str] | Mapping[str, str] = models
    return entries


@contextmanager
def _progress(names: list[str], query_batches: int) -> Iterator[OnBatch]:
    """A bar over all mini-batches on a terminal, a line for each network elsewhere."""

    def say_trained(name: str, done: int) -> None:
        if done == query_batches:
            say(f"trained {names.index(name) + 1} of {len(names)}: {name}")

    if not console.is_terminal:
        yield say_trained
        return
    with progress_bar() as bar:
        task = bar.add_task("training", total=len(names) * query_batches)
        yield lambda name, done: bar.update(task, completed=names.index(name) * query_batches + done)
