"""What a config's schema wants of a key, in words, for whoever gave it something else."""

from collections.abc import Sequence
from dataclasses import fields, is_dataclass
from typing import Any, get_args, get_origin, get_type_hints

from omegaconf.errors import InterpolationResolutionError, OmegaConfBaseException

from nap2.config import Config
from nap2.errors import FORMS


def refusal(error: BaseException, overrides: Sequence[str] = ()) -> str:
    """One line on a value that does not fit: what was given, what is wanted there.

    Args:
        error: of Hydra or OmegaConf.
        overrides: of the command line, among which is the one at fault, if it was not in a file.
    """
    cause = error
    while cause.__cause__ is not None and not isinstance(cause, OmegaConfBaseException):
        cause = cause.__cause__
    said = str(cause).strip().splitlines()[0]
    key = (getattr(cause, "full_key", None) or "").partition("[")[0]
    kind = _wanted(key)
    if isinstance(cause, InterpolationResolutionError) or kind is None:
        return f"{said}; correct {key or 'it'} in the command, or in the file of conf/ that sets it."
    given = next((text for text in overrides if text.lstrip("+").partition("=")[0] == key), key)
    return f"{given} {_form(key, kind)}."


def _wanted(key: str) -> Any:
    """The type at a dotted key; None where the schema has no such key, or takes anything there."""
    kind: Any = Config
    for part in key.split("."):
        if is_dataclass(kind):
            kind = get_type_hints(kind).get(part)
        elif get_origin(kind) is dict:
            kind = get_args(kind)[1]
        else:
            return None
    return None if kind is Any else kind


def _form(key: str, kind: Any) -> str:
    is_optional = type(None) in get_args(kind)
    if is_optional:
        kind = next(one for one in get_args(kind) if one is not type(None))
    if is_dataclass(kind) or get_origin(kind) is dict:
        inner = fields(kind)[0].name if is_dataclass(kind) else "<name>"
        return f"does not fit: {key} is a group of settings; set them one by one, {key}.{inner}=…"
    if get_origin(kind) is list:
        what = "a list of whole numbers" if get_args(kind) == (int,) else "a list"
        return f"does not fit: {key} is {what}; write {key}=[…], or '{key}=[a,b]' in a shell that reads brackets"
    return f"must be {FORMS[kind]}{', or null' if is_optional else ''}"
