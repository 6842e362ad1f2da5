"""What an environment can have wrong before any of our code runs."""

import re
from importlib import import_module
from importlib.util import find_spec

import torch

from nap2.errors import ConfigError
from nap2.versions import version_of


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
        own, of_torch = (version_of(name, "(of unknown version)") for name in ("torchvision", "torch"))
        raise ConfigError(
            f"The installed torchvision {own} does not fit torch {of_torch} ({reason}), "
            "and lightning cannot be imported beside it; uninstall torchvision (nothing here uses it)."
        ) from error


def check_kernels() -> None:
    """Refuse a GPU that is older than all that this build of torch has kernels for; every call on it would fail.

    Raises:
        ConfigError: saying what to install.
    """
    known = [int(digits) for digits in re.findall(r"(?:sm|compute)_(\d+)", " ".join(torch.cuda.get_arch_list()))]
    major, minor = torch.cuda.get_device_capability()
    if known and 10 * major + minor < min(known):
        gpu = f"{torch.cuda.get_device_name()} (it is sm_{major}{minor}, the oldest torch knows is sm_{min(known)})"
        raise ConfigError(
            f"torch {torch.__version__} has no kernels for this {gpu}; install a build for an older CUDA, e.g. 12.6."
        )
