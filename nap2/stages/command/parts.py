"""Objects that a config node names by `_target_`: where `conf/` joins `nap2` and `data_modules`."""

from collections.abc import Mapping
from typing import Any

from hydra.utils import instantiate


def built(node: Mapping[str, Any], **objects: Any) -> Any:
    """Call `node`'s target with its values and with `objects`, which Hydra would turn into containers."""
    return instantiate({**node, "_partial_": True})(**objects)
