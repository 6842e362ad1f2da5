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
from nap2.inference.architectures import networks_from
from nap2.inference.importing import models_from, placed
from nap2.inference.progress import ProgressLines
from nap2.inference.ranking import OnBatch
from nap2.provenance import versions
from nap2.snapshots.image_note import Images, described_images
from nap2.stages.campaign.training import trainer_parts
from nap2.stages.command.console import console, progress_bar, say
from nap2.stages.command.parts import built
from nap2.stages.pool.candidates import draw, read_arch_strs, setting_of, space_of
from nap2.stages.ranking.kept import KeptRankings, best_first
from nap2.training.recipe import Recipe

DEFAULT_COUNT = 10


def rank_trained(config: Config, predictor: Predictor, query_batches: int, device: torch.device) -> list[Ranking]:
    """Every network of the config, trained for the query on the config's images.

    Architectures are built, trained and kept one by one: in the memory of one, and a later call goes on from there.
    """
    recipe, parts, options = Recipe.from_dict(config.recipe), trainer_parts(config), config.rank
    models = placed(models_from(_entries(options.models), recipe.seed), device) if options.models else {}
    arch_strs = [] if models else arch_strs_of(config)
    images = built(parts["reader"])
    data = built(
        parts["images"],
        image_set=images,
        batch_size=recipe.batch_size,
        seed=recipe.seed,
        num_steps=query_batches,
        device=config.trainer.device,
    )
    data.setup("fit")

    def rank(networks: Mapping[str, nn.Module], on_batch: OnBatch) -> list[Ranking]:
        loader = data.train_dataloader()
        return predictor.rank(networks, loader, query_batches, recipe, modality=options.modality, on_batch=on_batch)

    kept = KeptRankings(Path(config.paths.runs) / "rankings", terms(config, predictor, query_batches, images))
    found = {name: place for name, place in kept.read().items() if name in arch_strs}
    if found:
        say(f"{len(found)} of {counted(len(arch_strs), 'network')} were ranked before: {kept.path}")
    missing = [name for name in arch_strs if name not in found]
    if not models and not missing:
        return best_first(found.values())
    names = list(models) or missing
    say(f"ranking {counted(len(names), 'network')} after {counted(query_batches, 'mini-batch', 'mini-batches')} each")
    with _progress(names, query_batches) as on_batch:
        if models:
            return rank(models, on_batch)
        for name in missing:
            networks = networks_from([name], space_of(config), config.space.skeleton, recipe.seed)
            (found[name],) = rank(placed(networks, device), on_batch)
            kept.add(found[name])
    return best_first(found[name] for name in arch_strs)


def arch_strs_of(config: Config) -> list[str]:
    """The architectures that the config asks to rank, each once; ten random ones where it names none.

    Raises:
        ConfigError, UnknownNameError, ArchStringError: if they cannot be had.
    """
    options, space = config.rank, space_of(config)
    if options.candidates:
        names = read_arch_strs(Path(options.candidates), space)
    else:
        names = list(options.arch_strs) or draw(space, DEFAULT_COUNT, config.seed, one_per_class=True)
    for name in names:
        space.check(name)
    return list(dict.fromkeys(names))


def terms(config: Config, predictor: Predictor, query_batches: int, images: Images) -> dict[str, Any]:
    """What the prediction for an architecture depends on."""
    return {
        "predictor": predictor.spec.get("components"),
        "modality": config.rank.modality or predictor.modalities[0],
        "query_batches": query_batches,
        "setting": setting_of(config).as_dict(),
        "images": described_images(images),
        "versions": versions(),
    }


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
    """A bar over all mini-batches on a terminal, lines with the time left elsewhere."""
    if not console.is_terminal:
        yield ProgressLines(names, query_batches, say)
        return
    with progress_bar() as bar:
        task = bar.add_task("training", total=len(names) * query_batches)
        yield lambda name, done: bar.update(task, completed=names.index(name) * query_batches + done)
