"""How folders and result rows name the encoders of a config."""

from collections.abc import Sequence

from nap2.config import Config
from nap2.feature_maps.families import ALL, named
from nap2.schema import EMBEDDING_SIZE


def features_of(config: Config) -> str:
    """The families of statistics that the config's encoders read."""
    return named(str(config.model["features"]))


def sees_unlabelled(config: Config) -> bool:
    """Whether the config's encoders learn from candidates without a label as well."""
    return bool(config.model["unlabelled"])


def directions_of(config: Config) -> int | None:
    """How many principal components of a modality the config keeps; None where that is not its choice, or the usual."""
    size = int(config.model["pca"]["size"])
    return size if config.model["encoder"] == "pca" and size != EMBEDDING_SIZE else None


def encoder_kind(config: Config) -> str:
    """`kind_named` of the config's encoders."""
    return kind_named(str(config.model["encoder"]), directions_of(config))


def kind_named(kind: str, directions: int | None) -> str:
    """`cae`, `random`, `pca`, or `pca8` of eight components."""
    return f"{kind}{directions or ''}"


def encoder_name(config: Config) -> str:
    """The kind, what it is restricted to, and what it learns from besides: `cae`, `pca8-norm`, `pca-unlabelled`."""
    return called(encoder_kind(config), features_of(config), sees_unlabelled(config))


def called(kind: str, features: str, unlabelled: bool) -> str:
    """The same of any encoders."""
    return "-".join((kind, *([] if features == ALL else [features]), *["unlabelled"] * unlabelled))


def encoder_words(config: Config, words: Sequence[str] = ()) -> str:
    """`in_brackets` of the config's encoders."""
    return in_brackets(encoder_kind(config), features_of(config), words, sees_unlabelled(config))


def in_brackets(kind: str, features: str = ALL, words: Sequence[str] = (), unlabelled: bool = False) -> str:
    """What stands in brackets behind a method that differs from the faithful one; empty for that."""
    parts = (
        "" if kind == "cae" else f"{kind} encoder",
        "" if features == ALL else f"{features} alone",
        "unlabelled maps too" if unlabelled else "",
        *words,
    )
    text = ", ".join(filter(None, parts))
    return f" ({text})" if text else ""
