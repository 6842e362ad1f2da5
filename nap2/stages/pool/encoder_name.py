"""How folders and result rows name the encoders of a config."""

from collections.abc import Sequence

from nap2.config import Config
from nap2.feature_maps.families import ALL, named


def features_of(config: Config) -> str:
    """The families of statistics that the config's encoders read."""
    return named(str(config.model.get("features", ALL)))


def encoder_name(config: Config) -> str:
    """The kind, and what it is restricted to: `cae`, `pca`, `pca-norm`."""
    kind, features = str(config.model.get("encoder", "cae")), features_of(config)
    return kind if features == ALL else f"{kind}-{features}"


def in_brackets(kind: str, features: str = ALL, words: Sequence[str] = ()) -> str:
    """What stands in brackets behind a method that differs from the faithful one; empty for that."""
    parts = (
        "" if kind == "cae" else f"{kind} encoder",
        "" if features == ALL else f"{features} alone",
        *words,
    )
    text = ", ".join(filter(None, parts))
    return f" ({text})" if text else ""
