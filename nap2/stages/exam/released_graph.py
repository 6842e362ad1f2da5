"""The graph regression beside a released predictor: it learns as many of the architectures that the predictor saw."""

from dataclasses import replace

import numpy as np

from nap2.config import Config
from nap2.errors import DataFileError, UnknownNameError
from nap2.evaluation.judging.exam import Predictions
from nap2.evaluation.splitting.splits import Split
from nap2.inference import Predictor
from nap2.seeding import seed_from
from nap2.stages.command.console import say
from nap2.stages.exam.contenders import graph_predictions
from nap2.stages.exam.contest import Contest
from nap2.stages.pool.run_folder import RunFolder
from nap2.stages.pool.splits import Pool
from nap2.stages.pool.stored import published_labels


def released_graph(contest: Contest, predictor: Predictor) -> list[Predictions]:
    """The regression on as many of the architectures in `fitted_on` as the predictor trained on; or none, and says why.

    A checkpoint lists its architectures and holds no accuracy of them; they are looked up in the config's table. Which
    of the list trained and which chose the epoch it does not say, so each trial draws its own.
    """
    config, spec, size = contest.config, predictor.spec, contest.sizes[0]
    if spec["setting"]["space"] != config.space.name:
        return []
    accuracy = _known(config, predictor)
    if len(accuracy) < size:
        say(f"no graph regression: the accuracies that the predictor was fitted on are not in {config.paths.truth}")
        return []
    say(f"graph regression: each trial draws {size} of the {len(accuracy)} architectures behind the predictor")
    names = np.array(sorted(accuracy))
    splits = []
    for trial in range(config.split.trials):
        order = np.random.default_rng(seed_from("released graph", config.seed, trial)).permutation(len(names))
        drawn = tuple(names[order[:size]].tolist())
        splits.append(Split(config.space.name, "", "", 0, trial, drawn, (), tuple(contest.tested), drawn))
    pool = Pool({}, accuracy, splits, RunFolder(contest.results))
    return [replace(graph_predictions(config, pool, size), source=contest.source)]


def _known(config: Config, predictor: Predictor) -> dict[str, float]:
    """Accuracies by arch string, of those that the predictor was fitted on, as far as the config's table goes."""
    spec = predictor.spec
    if spec.get("labels") != "truth":
        return {}
    try:
        return published_labels(config, spec["fitted_on"], spec.get("stand_in_for") or spec["setting"]["dataset"])
    except (DataFileError, UnknownNameError):
        return {}
