"""Values of a composed config that fit its schema and yet cannot be worked with, refused before any work."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from nap2.config import Config
from nap2.errors import ConfigError, UnknownNameError
from nap2.evaluation.splitting.splits import FLAVOURS
from nap2.models.losses import loss_named
from nap2.models.readings import ORDERED, READINGS
from nap2.schema import MAX_SNAPSHOTS, MODALITIES

LABELS = ("truth", "measured")
CAE_WHOLE, CAE_POSITIVE = ("step_size", "batch_size", "epochs"), ("lr", "gamma")
HEAD_WHOLE, HEAD_POSITIVE = ("hidden", "layers", "batch_size", "epochs"), ("lr", "max_lr")


def _check_choice(kind: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        raise UnknownNameError(kind, value, known)


def _check_at_least(name: str, value: int, least: int) -> None:
    if value < least:
        raise ConfigError(f"{name}={value} is too small; use at least {least}.")


def _check_names(config: Config) -> None:
    """An empty name, be it of a shell variable that is not set, would mean the folder the command is called from."""
    named = {"name": config.name, "store": config.store, "publish.name": config.publish.name}
    named |= {f"paths.{name}": value for name, value in asdict(config.paths).items()}
    for name, value in named.items():
        if not value.strip():
            raise ConfigError(f"{name}= is empty; give it a value, or leave it out.")


def _check_model(model: Mapping[str, Any]) -> None:
    """Nodes of `model` are handed on as they are, so their types are no part of the schema."""
    for part, whole, positive in (("cae", CAE_WHOLE, CAE_POSITIVE), ("predictor", HEAD_WHOLE, HEAD_POSITIVE)):
        for name in (*whole, *positive):
            value, is_whole = model[part][name], name in whole
            if isinstance(value, bool) or not isinstance(value, int if is_whole else (int, float)) or not value > 0:
                what = "a whole number of at least 1" if is_whole else "a number above 0"
                raise ConfigError(f"model.{part}.{name}={value} must be {what}.")
    if not isinstance(model["predictor"]["prefix_sharing"], bool):
        raise ConfigError(
            f"model.predictor.prefix_sharing={model['predictor']['prefix_sharing']} is not true or false."
        )
    loss_named(model["predictor"]["loss"])


def _check_counts(config: Config) -> None:
    """How many of something; null means all."""
    for name, count in (
        ("snapshot.num_candidates", config.snapshot.num_candidates),
        ("proxies.num_candidates", config.proxies.num_candidates),
    ):
        if count is not None:
            _check_at_least(name, count, 1)
    _check_at_least("snapshot.second_seed", config.snapshot.second_seed, 0)
    _check_at_least("curves.num_candidates", config.curves.num_candidates, 1)
    _check_at_least("proxies.batch_size", config.proxies.batch_size, 1)
    _check_at_least("proxies.batches", config.proxies.batches, 1)
    if not config.proxies.seeds:
        raise ConfigError("proxies.seeds=[] scores nothing; name at least one seed.")


def _check_together(config: Config) -> None:
    """Settings that are fine alone."""
    if config.stage == "pipeline" and config.snapshot.plan:
        raise ConfigError("snapshot.plan=true only prints what stage=snapshot would cost; ask that stage for it.")
    if config.stage == "pipeline" and config.cae.modality != "both":
        raise ConfigError(f"cae.modality={config.cae.modality} leaves stage=pipeline one encoder short; use both.")
    if config.evaluate.source and config.union:
        raise ConfigError(
            "evaluate.source tests predictors that another run fitted, so union would learn nothing; leave union out, "
            "or name the run of a union as the source."
        )


def check(config: Config) -> None:
    """Refuse values that no stage can work with.

    Raises:
        ConfigError, UnknownNameError: in one line, before any work.
    """
    _check_choice("modality (cae.modality)", config.cae.modality, ("both", *MODALITIES))
    _check_choice("modality (predictor.modality)", config.predictor.modality, ("both", *MODALITIES))
    _check_choice("reading (predictor.reading)", config.predictor.reading, READINGS)
    if config.predictor.reading != ORDERED and config.model["predictor"].get("prefix_sharing"):
        raise ConfigError(
            f"predictor.reading={config.predictor.reading} has no prefixes to share; "
            "set model.predictor.prefix_sharing=false."
        )
    _check_choice("split flavour (split.flavour)", config.split.flavour, FLAVOURS)
    _check_choice("label source (labels)", config.labels, LABELS)
    _check_names(config)
    _check_model(config.model)
    _check_counts(config)
    _check_together(config)
    _check_at_least("workers", config.workers, 1)
    _check_at_least("snapshot.every", config.snapshot.every, 1)
    _check_at_least("evaluate.bootstrap", config.evaluate.bootstrap, 1)
    if config.trainer.threads is not None:
        _check_at_least("trainer.threads", config.trainer.threads, 1)
    _check_at_least("release.at_most", config.release.at_most, 1)
    if not 1 <= config.release.mantissa_bits <= 23:
        raise ConfigError(f"release.mantissa_bits={config.release.mantissa_bits} is not 1 to 23, float32's mantissa.")
    _check_at_least("split.trials", config.split.trials, 1)
    _check_at_least("split.val_size", config.split.val_size, 1)
    if config.split.test_size != 0:  # 0: nothing is held back, for the predictor that is shipped
        _check_at_least("split.test_size", config.split.test_size, 2)
    if not 1 <= config.snapshot.num_snapshots <= MAX_SNAPSHOTS:
        raise ConfigError(
            f"snapshot.num_snapshots={config.snapshot.num_snapshots} cannot be kept; use 1 to {MAX_SNAPSHOTS}."
        )
    if not config.split.train_sizes or any(size < 2 and size != 0 for size in config.split.train_sizes):
        raise ConfigError(
            f"split.train_sizes={config.split.train_sizes} needs sizes of at least 2 architectures (0: the whole pool)."
        )
    if config.split.folds < 0 or config.split.folds == 1:
        raise ConfigError(f"split.folds={config.split.folds} is no cross-validation; use 0 (a fixed test set) or 2 on.")
    if config.split.redraw and not config.split.folds:
        raise ConfigError("split.redraw=true draws other folds in every trial, and there are none; add split.folds=5.")
    if config.space.skeleton.get("num_classes") != config.dataset.num_classes:
        raise ConfigError(
            f"space.skeleton.num_classes={config.space.skeleton.get('num_classes')} clashes with "
            f"dataset.num_classes={config.dataset.num_classes}; leave the first at ${{dataset.num_classes}}."
        )
