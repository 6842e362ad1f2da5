"""stage=pipeline: every stage from images to the table, in the order of the data."""

import time
from dataclasses import replace

from nap2.config import Config
from nap2.stages import STAGES
from nap2.stages.campaign.released import refuse_unread
from nap2.stages.command.compose import CONF
from nap2.stages.command.console import duration, say
from nap2.stages.pool.budgets import budgets_of
from nap2.stages.pool.stored import published_labels

ORDER = ("snapshot", "index", "cae", "embed", "predictor", "evaluate")


def run(config: Config) -> int:
    """Run the stages one after another; each goes on where it was interrupted. Stops at the first that cannot go on."""
    started = time.monotonic()
    refuse_unread(config)
    check_what_comes_later(config)
    for number, name in enumerate(ORDER, 1):
        say(f"[{number}/{len(ORDER)}] {name}: {STAGES[name].help}")
        code = STAGES[name].run(replace(config, stage=name))
        if name == "snapshot" and code == 1:
            say("some candidates failed; they stay listed as failures, and the rest goes on")
        elif code:
            return code
    say(f"done in {duration(time.monotonic() - started)}")
    _say_next(config)
    return 0


def check_what_comes_later(config: Config) -> None:
    """Refuse what a later stage would, before the candidates are trained.

    Raises:
        EvaluationError: for budgets beyond what is recorded.
        DataFileError, UnknownNameError: where labels are wanted of a table, and it is missing or lacks the dataset.
    """
    budgets_of(config)
    if config.labels == "truth":
        published_labels(config, [])


def _say_next(config: Config) -> None:
    is_experiment = (CONF / "experiment" / f"{config.name}.yaml").is_file()
    here = f"experiment={config.name}" if is_experiment else "…the same values"
    say("what to try next, with whatever settings you changed:")
    for command, why in (
        (f"stage=curves {here}", "the training curves behind the table"),
        (f"stage=proxies {here} proxies.candidates=store", "zero-cost proxies on the same candidates"),
        (f"stage=rank {here}", "rank ten architectures that nobody has trained"),
        ("stage=snapshot experiment=nb201_cifar10 snapshot.plan=true", "what the real thing would cost"),
    ):
        say(f"  .venv/bin/python train.py {command:<60} {why}")
