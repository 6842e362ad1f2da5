"""Values of a composed config that fit its schema and yet cannot be worked with, refused before any work."""

import re
from collections.abc import Mapping
from dataclasses import asdict
from math import inf
from operator import attrgetter
from typing import Any, TypeGuard

from nap2.config import Config, SplitConfig
from nap2.errors import ConfigError, check_name
from nap2.evaluation.splitting.splits import FLAVOURS
from nap2.feature_maps.families import ALL, named
from nap2.models.losses import loss_named
from nap2.models.readings import ORDERED, READINGS
from nap2.schema import MAX_SNAPSHOTS, MODALITIES

CHOICES = (
    ("modality", "cae.modality", ("both", *MODALITIES)),
    ("modality", "predictor.modality", ("both", *MODALITIES)),
    ("reading", "predictor.reading", READINGS),
    ("split flavour", "split.flavour", FLAVOURS),
    ("label source", "labels", ("truth", "measured")),
)
LEAST = {
    "workers": 1,
    "dataset.num_classes": 2,
    "trainer.threads": 1,
    "snapshot.every": 1,
    "snapshot.num_candidates": 1,
    "snapshot.second_seed": 0,
    "proxies.num_candidates": 1,
    "proxies.batch_size": 1,
    "proxies.batches": 1,
    "curves.num_candidates": 1,
    "evaluate.bootstrap": 1,
    "release.at_most": 1,
    "split.trials": 1,
    "split.val_size": 1,
}
"""The least of each number; a null stands for all, or for what somebody else chooses."""

ENCODERS = ("cae", "pca", "random")
DTYPES = ("float32", "float64")
VARIABLES = {"paths.data": "NAP2_DATA", "paths.truth": "NAP2_TRUTH", "paths.checkpoints": "NAP2_CHECKPOINTS"}
"""What `conf/paths` takes from the shell, where it may be set and empty."""
MODEL_WHOLE = {
    "cae": {"size": 1, "warmup_epochs": 0, "step_size": 1, "batch_size": 1, "epochs": 1},
    "pca": {"size": 1},
    "predictor": {"hidden": 1, "layers": 1, "batch_size": 1, "epochs": 1},
    "fusion": {"members": 1, "inner_folds": 2},
}
"""Whole numbers of each part of a model, with the least of each."""
MODEL_POSITIVE: dict[str, tuple[str, ...]] = {
    "cae": ("lr", "gamma"),
    "pca": (),
    "predictor": ("lr", "max_lr"),
    "fusion": (),
}
MODEL_REST = {
    "cae": ("patience",),
    "pca": (),
    "predictor": ("dropout", "loss", "prefix_sharing"),
    "fusion": ("ridges", "components", "rank_weight"),
}
MODEL_KEYS = ("encoder", "features", "unlabelled", "dtype", *MODEL_WHOLE)
"""All that a file of `conf/model/` may set: what nobody reads would change nothing, and go unnoticed."""


def check(config: Config) -> None:
    """Refuse values that no stage can work with.

    Raises:
        ConfigError, UnknownNameError: in one line, before any work.
    """
    for kind, name, known in CHOICES:
        check_name(f"{kind} ({name})", attrgetter(name)(config), known)
    for name, least in LEAST.items():
        _check_at_least(name, attrgetter(name)(config), least)
    _check_names(config)
    _check_model(config.model)
    _check_split(config.split)
    _check_together(config)
    if not config.proxies.seeds:
        raise ConfigError("proxies.seeds=[] scores nothing; name at least one seed.")
    if not 1 <= config.release.mantissa_bits <= 23:
        raise ConfigError(f"release.mantissa_bits={config.release.mantissa_bits} is not 1 to 23, float32's mantissa.")
    if not 1 <= config.snapshot.num_snapshots <= MAX_SNAPSHOTS:
        raise ConfigError(
            f"snapshot.num_snapshots={config.snapshot.num_snapshots} cannot be kept; use 1 to {MAX_SNAPSHOTS}."
        )


def _check_at_least(name: str, value: int | None, least: int) -> None:
    if value is not None and value < least:
        raise ConfigError(f"{name}={value} is too small; use at least {least}.")


def _check_names(config: Config) -> None:
    """An empty name, be it of a shell variable that is not set, would mean the folder the command is called from."""
    named = {"name": config.name, "store": config.store, "publish.name": config.publish.name}
    named |= {f"paths.{name}": value for name, value in asdict(config.paths).items()}
    for name, value in named.items():
        if not value.strip():
            variable = VARIABLES.get(name)
            where = f" (or ${variable})" if variable else ""
            raise ConfigError(f"{name}={where} is empty; give it a value, or leave it out.")
    if not re.fullmatch(r"[\w.+-]+", config.dataset.name):  # a column of a truth table is called so, and no other
        raise ConfigError(
            f"dataset.name={config.dataset.name} cannot name a dataset: use letters, digits, '-', '+', '.' and '_'."
        )


def _check_model(model: Mapping[str, Any]) -> None:
    """Nodes of `model` are handed on as they are, so their types are no part of the schema."""
    for name in model:
        check_name("setting of a model (conf/model/)", name, MODEL_KEYS)
    for part in MODEL_WHOLE:
        if part not in model and part == "fusion":  # NAP2 alone
            continue
        node = _group(model, part)
        for name, least in MODEL_WHOLE[part].items():
            _check_whole(f"model.{part}.{name}", node.get(name), least)
        for name in MODEL_POSITIVE[part]:
            if not _is_number(value := node.get(name)) or not 0 < value < inf:
                raise ConfigError(f"model.{part}.{name}={value} must be a number above 0 and finite.")
    check_name("encoder (model.encoder)", str(model.get("encoder", "cae")), ENCODERS)
    check_name("dtype (model.dtype)", str(model.get("dtype")), DTYPES)
    named(str(model.get("features", ALL)))
    if not isinstance(unlabelled := model.get("unlabelled", False), bool):
        raise ConfigError(f"model.unlabelled={unlabelled} is not true or false.")
    if (patience := model["cae"].get("patience")) is not None:  # where it is null, nothing stops a fit early
        _check_whole("model.cae.patience", patience, 1, ", or null")
    _check_head(model["predictor"])
    if "fusion" in model:
        _check_fusion(model["fusion"])


def _check_head(head: Mapping[str, Any]) -> None:
    if not _is_number(dropout := head.get("dropout")) or not 0 <= dropout < 1:
        raise ConfigError(f"model.predictor.dropout={dropout} must be a number from 0 on, below 1.")
    if not isinstance(head.get("prefix_sharing"), bool):
        raise ConfigError(f"model.predictor.prefix_sharing={head.get('prefix_sharing')} is not true or false.")
    loss_named(str(head.get("loss")))


def _check_fusion(fusion: Mapping[str, Any]) -> None:
    weight, ridges, components = (fusion.get(name, "") for name in ("rank_weight", "ridges", "components"))
    if not _is_number(weight) or not 0 <= weight < inf:
        raise ConfigError(f"model.fusion.rank_weight={weight} must be a finite number from 0 on.")
    is_list = isinstance(ridges, list) and all(_is_number(ridge) and ridge >= 0 for ridge in ridges)
    if not is_list or min(ridges, default=inf) == inf:  # what has no graph regression is fitted with finite ones
        raise ConfigError(f"model.fusion.ridges={ridges} must be a list of numbers from 0 on, at least one finite.")
    if not isinstance(components, list) or not components or not all(_is_whole(count, 1) for count in components):
        raise ConfigError(f"model.fusion.components={components} must be a list of whole numbers of at least 1.")


def _group(model: Mapping[str, Any], part: str) -> Mapping[str, Any]:
    node = model.get(part)
    if not isinstance(node, Mapping):
        raise ConfigError(
            f"model.{part}={node} does not fit: model.{part} is a group of settings; set them one by one, "
            f"model.{part}.{next(iter(MODEL_WHOLE[part]))}=…."
        )
    for name in node:
        check_name(f"setting of model.{part}", name, (*MODEL_WHOLE[part], *MODEL_POSITIVE[part], *MODEL_REST[part]))
    return node


def _check_whole(name: str, value: object, least: int, otherwise: str = "") -> None:
    if not _is_whole(value, least):
        raise ConfigError(f"{name}={value} must be a whole number of at least {least}{otherwise}.")


def _is_whole(value: object, least: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


def _is_number(value: object) -> TypeGuard[float]:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _check_split(split: SplitConfig) -> None:
    if split.test_size != 0:  # 0: nothing is held back, for the predictor that is shipped
        _check_at_least("split.test_size", split.test_size, 2)
    if not split.train_sizes or any(size < 2 and size != 0 for size in split.train_sizes):
        raise ConfigError(
            f"split.train_sizes={split.train_sizes} needs sizes of at least 2 architectures (0: the whole pool)."
        )
    if split.folds < 0 or split.folds == 1:
        raise ConfigError(f"split.folds={split.folds} is no cross-validation; use 0 (a fixed test set) or 2 on.")
    if split.redraw and not split.folds:
        raise ConfigError("split.redraw=true draws other folds in every trial, and there are none; add split.folds=5.")


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
    if config.predictor.reading != ORDERED and config.model["predictor"]["prefix_sharing"]:
        raise ConfigError(
            f"predictor.reading={config.predictor.reading} has no prefixes to share; "
            "set model.predictor.prefix_sharing=false."
        )
    if config.space.skeleton.get("num_classes") != config.dataset.num_classes:
        raise ConfigError(
            f"space.skeleton.num_classes={config.space.skeleton.get('num_classes')} clashes with "
            f"dataset.num_classes={config.dataset.num_classes}; leave the first at ${{dataset.num_classes}}."
        )
