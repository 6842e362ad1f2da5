"""Objects that a config node names by `_target_`: where `conf/` joins `nap2` and `data_modules`."""

import inspect
from collections.abc import Mapping
from typing import Any

from hydra.errors import HydraException
from hydra.utils import instantiate

from nap2.errors import ConfigError, in_one_line


def built(node: Mapping[str, Any], **objects: Any) -> Any:
    """Call `node`'s target with its values and with `objects`, which Hydra would turn into containers.

    Raises:
        ConfigError: if there is no such target, or the values are not those that it takes.
    """
    target = node["_target_"]
    try:
        call = instantiate({**node, "_partial_": True})
    except HydraException as error:
        raise ConfigError(f"_target_={target} cannot be called ({in_one_line(error)}); correct it.") from error
    signature = inspect.signature(call.func)
    try:
        signature.bind(*call.args, **call.keywords, **objects)
    except TypeError as error:
        takes = ", ".join(signature.parameters)
        raise ConfigError(f"{target} cannot be called: {in_one_line(error)}; it takes {takes}.") from error
    return call(**objects)
