"""Which part of a list one array task works on."""

from collections.abc import Sequence
from typing import TypeVar

from nap2.errors import ConfigError

Item = TypeVar("Item")


def shard(items: Sequence[Item], index: int, count: int) -> list[Item]:
    """Every `count`-th item from `index` on: shards are disjoint, complete, and of nearly equal cost.

    Raises:
        ConfigError: unless 0 <= index < count.
    """
    if not 0 <= index < count:
        raise ConfigError(f"Shard {index} of {count} does not exist; use an index from 0 to {count - 1}.")
    return list(items[index::count])
