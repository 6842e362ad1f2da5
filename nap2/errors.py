"""Every error a user can meet. Each says what was asked, what was found, and what to do, in one line."""

from collections.abc import Collection, Iterable, Mapping
from difflib import get_close_matches
from types import MappingProxyType

FORMS: Mapping[type, str] = MappingProxyType(
    {int: "a whole number", float: "a number", str: "text", bool: "true or false"}
)
"""Types of settings, as a message says them."""


class Nap2Error(Exception):
    """Base of all errors caused by input; `train.py` prints its one line and exits with code 2."""


def counted(number: int, noun: str, plural: str = "") -> str:
    """A number of things, as a message says it: "1 network", "2 networks", "3 batches" (with its plural given)."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


def in_one_line(error: BaseException) -> str:
    """What an error of somebody else's code says; its kind where it says nothing."""
    return " ".join(str(error).split())[:200] or type(error).__name__


def described(error: Exception) -> str:
    """An error of somebody else's code in one line, its kind first."""
    return f"{type(error).__name__}: {' '.join(str(error).split())[:200]}".rstrip(" .")


def kind_of(thing: object) -> str:
    """What something is, as a message says it: "an int", "a Sequential", "None"."""
    name = type(thing).__name__
    return "None" if thing is None else f"{'an' if name[0].lower() in 'aeio' else 'a'} {name}"


class UnknownNameError(Nap2Error, LookupError):
    """A name that is not in a registry; suggests the nearest one, and ends with `advice` where there is some."""

    def __init__(self, kind: str, name: object, known: Iterable[str], advice: str = "") -> None:
        known = sorted(known)
        near = get_close_matches(str(name), known, n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        shown = known if len(known) <= 30 else [*known[:30], f"… ({len(known)} in all)"]
        line = f"No {kind} is called {name!r}.{hint} Known: {', '.join(shown) or 'none'}. {advice}"
        super().__init__(line.rstrip())


def check_name(kind: str, name: str, known: Collection[str]) -> None:
    """Refuse a name that is not in a registry.

    Raises:
        UnknownNameError: if it is not.
    """
    if name not in known:
        raise UnknownNameError(kind, name, known)


class ArchStringError(Nap2Error, ValueError):
    """An architecture string that its search space cannot read; points at the offending part."""


class ConfigError(Nap2Error, ValueError):
    """A value, or a pair of values, that the composed config may not have."""


class DataFileError(Nap2Error, OSError):
    """A dataset or benchmark file that is missing, damaged, or not what it should be."""


class StoreError(Nap2Error):
    """A snapshot store that cannot be used as asked."""


class CorruptSnapshotError(StoreError):
    """A stored candidate whose bytes are not those that were written."""


class StoreVersionError(StoreError):
    """A store written under another schema version."""


class CheckpointError(Nap2Error):
    """A checkpoint folder that is missing, damaged, or of another shape."""


class EvaluationError(Nap2Error):
    """A protocol that cannot be run on the candidates at hand."""


class NetworkError(Nap2Error):
    """A network that cannot be recorded, trained or scored."""


class FeatureMapError(Nap2Error, ValueError):
    """Values and units that do not make a feature map together."""


class CampaignError(Nap2Error):
    """A campaign over many candidates that cannot begin, or cannot go on, on this machine or cluster."""


class DivergedError(Nap2Error):
    """A training run whose loss is no longer a finite number.

    Attributes:
        step: index of the mini-batch whose loss it was, counted from 0.
    """

    def __init__(self, step: int) -> None:
        self.step = step
        super().__init__(
            f"The loss of mini-batch {step} is not finite: training diverged; lower recipe.lr, or leave it out."
        )
