"""From command-line overrides to one typed `Config`, with one clear line for whatever is wrong with them."""

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_dir
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from omegaconf import DictConfig, ListConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from nap2.config import Config
from nap2.config_checks import check
from nap2.errors import ConfigError, check_name
from nap2.stages import STAGES
from nap2.stages.command.wrong_value import refusal

CONF = Path(__file__).resolve().parents[3] / "conf"
GROUPS = {
    folder.name: sorted(path.stem for path in folder.glob("*.yaml"))
    for folder in sorted(CONF.glob("*"))
    if folder.is_dir() and folder.name != "stages"
}
"""Groups of the config, each with its options."""

OPEN = ("data.", "dataset.reader.", "rank.models.", "recipe.", "space.skeleton.")
"""Nodes to which `+key=value` may add: whoever reads them takes any key, or refuses those it does not know."""


def compose_config(overrides: Sequence[str]) -> tuple[DictConfig, Config]:
    """The composed tree, and the same as a checked `Config`.

    Raises:
        ConfigError, UnknownNameError: for a bad override, an unknown name, a wrong type, or settings that clash.
    """
    if not (CONF / "config.yaml").is_file():
        raise ConfigError(f"No configuration at {CONF}; run train.py from a checkout, where conf/ lies beside it.")
    choices, keys = _parse(overrides)
    with initialize_config_dir(str(CONF), version_base="1.3"):
        known = dict(_settings(_plain(_compose(choices))))
        for key, is_added in keys:
            check_name("setting", key, known)
            if is_added:
                raise ConfigError(f"+{key}=… adds a setting, and {key} is there already; leave the + out.")
        tree = _compose(overrides)
        return tree, typed(tree)


def typed(tree: DictConfig) -> Config:
    """A composed tree as one checked object.

    Raises:
        ConfigError, UnknownNameError: for a value that is missing or of a wrong type, or settings that clash.
    """
    if missing := [key for key, value in _settings(_plain(tree)) if value == "???"]:
        raise ConfigError(f"{', '.join(missing)} must be set; add {missing[0]}=… to the command.")
    try:
        _find_home(tree)
        config = OmegaConf.to_object(tree)
    except OmegaConfBaseException as error:
        raise ConfigError(refusal(error)) from error
    if not isinstance(config, Config):
        raise ConfigError("conf/config.yaml no longer starts from nap2_schema; put it first in its defaults list.")
    check_name("stage", config.stage, STAGES)
    check(config)
    return config


def refuse_launcher(overrides: Sequence[str]) -> None:
    """A launcher sends the jobs of a sweep; without one the stage would run on this machine, unnoticed.

    Raises:
        ConfigError: if another one than the local one is named.
    """
    for text in overrides:
        if text.startswith("launcher=") and text != "launcher=local":
            raise ConfigError(
                f"{text} only sends the jobs of a sweep: add --multirun, or leave it out to run here; "
                "slurm/submit.py sends single stages."
            )


def _parse(overrides: Sequence[str]) -> tuple[list[str], list[tuple[str, bool]]]:
    """Group choices as they are, and the keys that must be there already, with whether they come with a +."""
    choices: list[str] = []
    keys: list[tuple[str, bool]] = []
    for text in overrides:
        try:
            override = OverridesParser.create().parse_override(text)
        except HydraException as error:
            if not all(text.partition("=")[0].split(".")):
                raise ConfigError(
                    f"{text!r} sets no key: a part of its name is empty; write it like seed=0."
                ) from error
            raise ConfigError(
                f"{text!r} cannot be read as key=value; a value with other characters than letters, digits and "
                "/ - . _ + has quotes inside those of the shell: \"key='value'\", \"key=['a','b']\"."
            ) from error
        key = override.key_or_group
        if override.is_sweep_override():
            raise ConfigError(
                f"{text} gives several values, one run each: add --multirun (no --cfg); a list is written {key}=[…]."
            )
        if key in GROUPS:
            choices.append(text)
            check_name(f"{key} (conf/{key}/)", str(override.value()), GROUPS[key])
        elif key.startswith("hydra"):
            continue
        elif not (override.is_add() and key.startswith(OPEN)):
            keys.append((key, override.is_add()))
    return choices, keys


def _compose(overrides: Sequence[str]) -> DictConfig:
    try:
        return compose("config", overrides=list(overrides))
    except (HydraException, OmegaConfBaseException) as error:
        raise ConfigError(refusal(error, overrides)) from error


def _settings(tree: Mapping[Any, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Every dotted key that may be set, inner nodes included, with its value."""
    for key, value in tree.items():
        yield f"{prefix}{key}", value
        if isinstance(value, dict):
            yield from _settings(value, f"{prefix}{key}.")


def _find_home(node: DictConfig | ListConfig) -> None:
    """Put the home folder for a leading `~/`, which no shell does behind an equals sign; it would be a folder here."""
    for key in range(len(node)) if isinstance(node, ListConfig) else list(node):
        value = None if OmegaConf.is_missing(node, key) else node[key]
        if isinstance(value, DictConfig | ListConfig):
            _find_home(value)
        elif isinstance(value, str) and value.startswith("~/"):
            node[key] = os.path.expanduser(value)


def _plain(tree: DictConfig) -> dict[Any, Any]:
    content = OmegaConf.to_container(tree, resolve=False)
    assert isinstance(content, dict)
    return content
