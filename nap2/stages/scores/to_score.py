"""Which networks stage=proxies scores, what is known of their accuracy, and where the scores are kept."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from nap2.config import Config
from nap2.errors import EvaluationError, counted
from nap2.seeding import seed_from
from nap2.stages.pool.candidates import draw, read_arch_strs, setting_of, space_of
from nap2.stages.pool.stored import STORE, index_rows, labels_of, open_store, published_labels
from nap2.stages.scores.score_file import Task

FEWEST = 3
"""Networks of known accuracy that a rank correlation needs."""


def candidates_with_labels(config: Config) -> tuple[list[str], Mapping[str, float]]:
    """The networks to score, and the accuracies that are known of them.

    With measured labels these are the store's candidates; with published ones a list, or a seeded draw from the space.
    `proxies.candidates=store` is all labelled candidates of the store, for a table beside predictors. The draw holds
    only networks whose accuracy is known, unless `proxies.known_only` is false: a longer draw begins with the shorter
    one. With `proxies.known_only` false no accuracy has to be known, nor a table of them to exist.

    Raises:
        EvaluationError: fewer than 3 of them have a known accuracy, so that nothing could be ranked.
        DataFileError: there is no table of accuracies.
        StoreError: there is no store, or its candidates are of another setting than the networks that are scored.
    """
    options, space = config.proxies, space_of(config)
    of_store = options.candidates == STORE
    if of_store or config.labels == "measured":
        accuracy: Mapping[str, float] = labels_of(config, index_rows(config, open_store(config)))
        names = sorted(accuracy)[: None if of_store else options.num_candidates]
    else:
        if options.candidates:
            names = read_arch_strs(Path(options.candidates), space)
        else:
            names = draw(space, None, config.snapshot.sample_seed, config.snapshot.one_per_class)
        accuracy = _published(config, names)
        if options.known_only and not options.candidates:
            names = [name for name in names if name in accuracy]
        names = names[: options.num_candidates]
    known = sum(name in accuracy for name in names)
    if known < FEWEST and options.known_only:
        raise EvaluationError(
            f"{known} of {counted(len(names), 'network')} with a known accuracy: choose at least {FEWEST} that have "
            "one, or score without judging (proxies.known_only=false)."
        )
    return names, accuracy


def tasks_of(config: Config, arch_strs: Sequence[str]) -> list[Task]:
    """Each network with every seed and batch; a seed that is named twice is one."""
    options = config.proxies
    return [Task(a, s, b) for a in arch_strs for s in dict.fromkeys(options.seeds) for b in range(options.batches)]


def scores_file(config: Config) -> str:
    """Scores of another setting or batch size are never mixed in."""
    setting = {**setting_of(config).as_dict(), "batch_size": config.proxies.batch_size}
    return f"scores-{seed_from(json.dumps(setting, sort_keys=True)) % 16**8:08x}.jsonl"


def _published(config: Config, names: list[str]) -> dict[str, float]:
    if not config.proxies.known_only and not (Path(config.paths.truth) / f"{config.space.name}.h5").exists():
        return {}
    return published_labels(config, names)
