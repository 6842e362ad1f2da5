"""stage=rank: train architectures, or importable models, for one query each and rank them with a trained predictor."""

import csv
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import torch
from torch import nn

from nap2.config import Config
from nap2.errors import CheckpointError, ConfigError, counted
from nap2.inference import Predictor, Ranking
from nap2.inference.importing import models_from
from nap2.inference.ranking import OnBatch
from nap2.inference.refusals import check_budget
from nap2.inference.table import ranking_table
from nap2.seeding import forked_random_state
from nap2.stages.candidates import draw, read_arch_strs, space_of
from nap2.stages.console import console, progress_bar, say
from nap2.stages.parts import built
from nap2.stages.rank_stored import rank_stored
from nap2.stages.run_folder import RunFolder
from nap2.stages.snapshot_stage import check_device, trainer_parts
from nap2.training.recipe import Recipe

DEFAULT_COUNT = 10
STORE = "store"
"""`rank.candidates` of this name: those of the store."""


def run(config: Config) -> int:
    """Rank what `rank` names, or ten random architectures, on the config's images.

    Returns 1 if one of them failed.
    """
    device, options = check_device(config.trainer.device), config.rank
    check_one_kind(config)
    predictor = Predictor.from_pretrained(options.checkpoint or _own_checkpoint(config))
    query_batches = options.query_batches or predictor.query_near(100)
    check_budget(query_batches, predictor.every, predictor.num_snapshots)
    if not options.models and (remark := remark_on_space(config, predictor.spec)):
        say(remark)
    if options.candidates == STORE:
        ranking = rank_stored(config, predictor.to(device), query_batches)
    else:
        ranking = _trained(config, predictor, query_batches, device)
    for line in ranking_table(ranking).splitlines():
        say(line)
    path = Path(config.paths.runs) / "ranking.csv"
    write_csv(path, ranking)
    say(f"ranking: {path}")
    return 1 if any(place.failure for place in ranking) else 0


def _trained(config: Config, predictor: Predictor, query_batches: int, device: torch.device) -> list[Ranking]:
    """Every network of the config, trained for the query on the config's images."""
    recipe, parts = Recipe.from_dict(config.recipe), trainer_parts(config)
    models = {name: model.to(device) for name, model in models_of(config, recipe.seed).items()}
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


def check_one_kind(config: Config) -> None:
    """Refuse a call that names networks in two ways.

    Raises:
        ConfigError: if it does.
    """
    asked = [name for name in ("models", "arch_strs", "candidates") if getattr(config.rank, name)]
    if len(asked) > 1:
        names = " and ".join(f"rank.{name}" for name in asked)
        raise ConfigError(f"{names} are both set; rank one kind at a time.")


def _own_checkpoint(config: Config) -> Path:
    folder = RunFolder.of(config).checkpoint
    if not (folder / "spec.json").is_file():
        of_folds = ": each fold has its own, that of all is fitted with split.folds=0 split.test_size=0"
        raise CheckpointError(
            f"No predictor at {folder}{of_folds if config.split.folds else ''}; run stage=predictor first, or name "
            "one (rank.checkpoint=…)."
        )
    return folder


def remark_on_space(config: Config, spec: Mapping[str, Any]) -> str:
    """A line on a predictor that was fitted on another search space than the config's; empty for the same."""
    fitted_on = spec.get("setting", {}).get("space", config.space.name)
    if fitted_on == config.space.name:
        return ""
    return f"the predictor was fitted on {fitted_on} cells: on {config.space.name} its figures are ranks at best"


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


def write_csv(path: Path, ranking: Sequence[Ranking]) -> None:
    """One row per network; several warnings are joined by ` | `."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, [field.name for field in fields(Ranking)])
        writer.writeheader()
        writer.writerows({**asdict(place), "warnings": " | ".join(place.warnings)} for place in ranking)


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
    if not console.is_terminal:
        yield _LinePerNetwork(names, query_batches)
        return
    with progress_bar() as bar:
        task = bar.add_task("training", total=len(names) * query_batches)
        yield lambda name, done: bar.update(task, completed=names.index(name) * query_batches + done)


class _LinePerNetwork:
    def __init__(self, names: list[str], query_batches: int) -> None:
        self.names, self.query_batches = names, query_batches

    def __call__(self, name: str, done: int) -> None:
        if done == self.query_batches:
            say(f"trained {self.names.index(name) + 1} of {len(self.names)}: {name}")
