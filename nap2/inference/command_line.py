"""`python -m nap2`: rank models without writing a program; torch and safetensors are all it needs.

NAP2 predicts how well a neural network will do once fully trained, after watching the first mini-batches of its
training. Train nothing to the end: name your models, your data and a predictor, and read off which is best.

  python -m nap2 list                       the predictors on this machine, and where they are
  python -m nap2 rank NAME --models my_models:small my_models:wide --data my_data:loader
  python -m nap2 rank --help                every option, with examples

From Python: nap2.Predictor.from_pretrained(NAME).rank({"small": small, "wide": wide}, loader)
"""

import argparse
import contextlib
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import nn

from nap2.checkpoint import heads_named, load_spec
from nap2.errors import CheckpointError, ConfigError, Nap2Error, check_name, described
from nap2.inference.batches_from import batches_from
from nap2.inference.importing import models_from, placed
from nap2.inference.lookup import known_checkpoints, places
from nap2.inference.predictor import KIND, Predictor
from nap2.inference.progress import ProgressLines
from nap2.inference.ranking import Ranking
from nap2.inference.refusals import check_spec
from nap2.inference.table import ranking_table
from nap2.training.recipe import RECIPES, Recipe, recipe_named

RANK_HELP = """\
Train a copy of each model for a few mini-batches of your data, all on the same ones, and rank them by the accuracy that
the predictor expects of each after full training. Your models are left as they are.

examples:
  python -m nap2 rank runs/digits/functional/checkpoint --models my_models:small my_models:wide --data my_data:loader
  python -m nap2 rank runs/digits/functional/checkpoint --models my_models:ALL --data photos.npz --batch-size 128
  python -m nap2 rank nb201-cifar10 --data cifar.npz --archs \\
         '|skip_connect~0|+|none~0|nor_conv_3x3~1|+|none~0|none~1|skip_connect~2|'
  python -m nap2 rank checkpoints/mine --models a=nets:Net b=nets:DeepNet --data nets:train_set --json > ranking.json

models  [name=]module:attribute, found in the working directory or installed: a torch module, a class or function that
        makes one when called without arguments, or a dictionary of these. forward must return logits [batch, classes].
archs   instead of models: arch strings of the search space that the predictor was fitted on, in quotes; the networks
        have the sizes and the number of classes of those it was fitted on (needs numpy)
data    module:attribute: a DataLoader, a list of (inputs, class indices), a torch Dataset, or a function that returns
        one of these; or a file, .safetensors or .npz (needs numpy), with `images` and `labels`: images uint8 [N, H, W]
        or [N, H, W, 1 or 3], standardised for you, or floating-point inputs just as the models take them.

exit codes: 0 every model was ranked; 1 some model failed (the reason stands below the table); 2 refused, with one line
that says why; 130 interrupted.
"""


def main(arguments: Sequence[str]) -> int:
    """Run one command line; returns the exit code."""
    parser = _parser()
    options = parser.parse_args(arguments)
    if options.command is None:
        parser.print_help()
        return 0
    try:
        return _list() if options.command == "list" else _rank(options)
    except Nap2Error as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted; no ranking was made.", file=sys.stderr)
        return 130


def _parser() -> argparse.ArgumentParser:
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(prog="python -m nap2", description=__doc__, formatter_class=raw)
    commands = parser.add_subparsers(dest="command", metavar="rank | list")
    commands.add_parser("list", help="the predictors on this machine")
    rank = commands.add_parser(
        "rank", help="rank models by predicted accuracy", description=RANK_HELP, formatter_class=raw
    )
    rank.add_argument("checkpoint", help="name of a released predictor (see `list`), or a checkpoint folder")
    what = rank.add_mutually_exclusive_group(required=True)
    what.add_argument("--models", nargs="+", metavar="MODEL", help="see above")
    what.add_argument("--archs", nargs="+", metavar="ARCH", help="see above")
    rank.add_argument("--data", required=True, help="see above")
    rank.add_argument(
        "--query-batches", type=positive_int, metavar="N", help="mini-batches per model (100, or near it)"
    )
    rank.add_argument("--batch-size", type=positive_int, metavar="N", help="of files and Datasets (the recipe's)")
    rank.add_argument("--recipe", help=f"how to train: {', '.join(RECIPES)} (as the predictor's own networks were)")
    rank.add_argument("--modality", help="read `both`, or `gradients` alone where the predictor can (the first it has)")
    rank.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu", help="(%(default)s)")
    rank.add_argument("--seed", type=int, default=0, help="of weights that are drawn and of the order of data (0)")
    rank.add_argument("--json", action="store_true", help="print JSON instead of a table")
    return parser


def _list() -> int:
    found = list(known_checkpoints())
    for folder in found:
        print(_line(folder))
    if not found:
        print(f"No predictor in {' or '.join(map(str, places()))}; copy its folder there, or set $NAP2_CHECKPOINTS.")
    return 0


def _line(folder: Path) -> str:
    """What a folder holds, or why it cannot be used: one that is damaged does not hide the others."""
    try:
        spec = load_spec(folder, KIND)
        check_spec(spec)
    except CheckpointError as error:
        return f"{folder.name}  cannot be used: {error}"
    setting = spec.get("setting", {})
    datasets = " and ".join(map(str, (setting.get("dataset", "?"), *spec.get("union", ()))))
    what = f"{setting.get('space', '?')} on {datasets}, {heads_named(spec)}"
    return f"{folder.name}  {what}, reads {_span(spec)} mini-batches  {folder}"


def _span(spec: dict[str, Any]) -> str:
    """From the fewest mini-batches that a predictor reads to the most."""
    fewest, most = spec.get("every", 0), spec.get("every", 0) * spec.get("num_snapshots", 0)
    return f"{fewest}" if fewest == most else f"{fewest} to {most}"


def _rank(options: argparse.Namespace) -> int:
    with contextlib.redirect_stdout(sys.stderr):  # what the user's own modules print is no part of the ranking
        recipe, query_batches, ranking = _ranked(options)
    if options.json:
        print(json.dumps(_as_json(options, recipe.name, query_batches, ranking), indent=1))
    else:
        print(ranking_table(ranking))
    return 1 if any(place.failure for place in ranking) else 0


def _ranked(options: argparse.Namespace) -> tuple[Recipe, int, list[Ranking]]:
    """How the models were trained, for how many mini-batches, and how they came out."""
    predictor = Predictor.from_pretrained(options.checkpoint)
    recipe = recipe_named(options.recipe, predictor.own_recipe)
    query_batches = options.query_batches or predictor.query_near(100)
    device = _device(options.device)
    models = placed(_models(options, predictor), device)
    loader = batches_from(options.data, options.batch_size or recipe.batch_size)
    ranking = predictor.rank(
        models,
        loader,
        query_batches,
        recipe,
        options.seed,
        modality=options.modality,
        on_batch=Progress(list(models), query_batches),
    )
    return recipe, query_batches, ranking


def _models(options: argparse.Namespace, predictor: Predictor) -> dict[str, nn.Module]:
    """What `--models` or `--archs` names.

    Raises:
        ConfigError, UnknownNameError, ArchStringError: if it cannot be had.
    """
    if options.models:
        return models_from(options.models, options.seed)
    setting = predictor.spec.get("setting", {})
    if not {"space", "skeleton"} <= setting.keys():
        raise ConfigError(f"{options.checkpoint} does not say on which networks it was fitted; name yours by --models.")
    try:
        from nap2.inference.architectures import networks_from
        from nap2.spaces import SPACES
    except ModuleNotFoundError as error:
        raise ConfigError(f"--archs needs {error.name}, which is not installed; pip install {error.name}.") from error
    check_name("search space", setting["space"], SPACES)
    return networks_from(options.archs, SPACES[setting["space"]], setting["skeleton"], options.seed)


def _device(name: str) -> torch.device:
    """The device, if this machine has it.

    Raises:
        ConfigError: if it has not, or torch knows none of this name.
    """
    try:
        return torch.empty(0, device=name).device
    except (RuntimeError, AssertionError, NotImplementedError) as error:  # each kind of device fails in its own way
        raise ConfigError(f"--device {name} cannot be used here ({described(error)}); use cpu.") from error


def positive_int(text: str) -> int:
    """A whole number from 1 on; named as argparse names it to a user who typed something else."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{number} is too small; use a whole number from 1 on")
    return number


class Progress:
    """What is going on, on standard error: one line that changes on a terminal, lines with the time left elsewhere."""

    def __init__(self, names: Sequence[str], query_batches: int) -> None:
        self.names, self.query_batches = list(names), query_batches
        self.lines = ProgressLines(names, query_batches, lambda line: print(line, file=sys.stderr, flush=True))

    def __call__(self, name: str, done: int) -> None:
        if not sys.stderr.isatty():
            self.lines(name, done)
            return
        place = f"model {self.names.index(name) + 1} of {len(self.names)}, {name}"
        print(f"\r\x1b[K{place}: {done} of {self.query_batches} mini-batches", end="", file=sys.stderr, flush=True)
        if done == self.query_batches:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)


def _as_json(
    options: argparse.Namespace, recipe: str, query_batches: int, ranking: Sequence[Ranking]
) -> dict[str, Any]:
    return {
        "checkpoint": options.checkpoint,
        "query_batches": query_batches,
        "recipe": recipe,
        "modality": options.modality,
        "seed": options.seed,
        "ranking": [asdict(place) for place in ranking],
    }
