"""What an environment can have wrong before any of our code runs."""

from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec

from nap2.errors import ConfigError


def check_torchvision() -> None:
    """Refuse a torchvision that does not fit torch: we never use it, but Lightning imports what it finds.

    Raises:
        ConfigError: if it is installed and cannot be imported.
    """
    if find_spec("torchvision") is None:
        return
    try:
        import_module("torchvision")
    except (ImportError, RuntimeError, OSError, AttributeError) as error:
        reason = " ".join(str(error).split())[:120]
        raise ConfigError(
            f"The installed torchvision {_version('torchvision')} does not fit torch {_version('torch')} ({reason}), "
            "and lightning cannot be imported beside it; uninstall torchvision (nothing here uses it)."
        ) from error


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "(of unknown version)"
