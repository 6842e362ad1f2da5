"""stage=rank: train architectures for one query each and rank them with a trained predictor."""

import csv
from dataclasses import asdict, fields
from pathlib import Path

import torch

from nap2.config import Config
from nap2.errors import ConfigError
from nap2.inference import Predictor, Ranking
from nap2.seeding import forked_random_state
from nap2.stages.candidates import draw, space_of
from nap2.stages.console import say
from nap2.stages.parts import built
from nap2.stages.run_folder import RunFolder
from nap2.stages.snapshot_stage import check_device, trainer_parts

DEFAULT_COUNT = 10


def run(config: Config) -> int:
    """Rank `rank.arch_strs`, or ten random architectures, on the config's images."""
    device = check_device(config.trainer.device)
    space, options = space_of(config), config.rank
    names = list(options.arch_strs) or draw(space, DEFAULT_COUNT, config.seed, one_per_class=True)
    for name in names:
        space.check(name)
    predictor = Predictor.from_pretrained(options.checkpoint or RunFolder.of(config).checkpoint)
    if options.query_batches % predictor.every:
        raise ConfigError(
            f"rank.query_batches={options.query_batches} is no multiple of the predictor's interval of "
            f"{predictor.every} mini-batches; use e.g. {predictor.every}."
        )
    parts = trainer_parts(config)
    batch_size, seed = int(config.recipe["batch_size"]), int(config.recipe.get("seed", 0))
    data = built(
        parts["images"],
        image_set=built(parts["reader"]),
        batch_size=batch_size,
        seed=seed,
        num_steps=options.query_batches,
    )
    data.setup("fit")
    with forked_random_state(seed):
        models = {}
        for name in names:
            torch.manual_seed(seed)
            models[name] = space.build(name, **config.space.skeleton).to(device)
    say(f"ranking {len(models)} architectures after {options.query_batches} mini-batches each")
    ranking = predictor.rank(models, data.train_dataloader(), options.query_batches, recipe=str(config.recipe["name"]))
    for place in ranking:
        say(str(place))
    path = Path(config.paths.runs) / "ranking.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, [field.name for field in fields(Ranking)])
        writer.writeheader()
        writer.writerows(asdict(place) for place in ranking)
    say(f"ranking: {path}")
    return 0
