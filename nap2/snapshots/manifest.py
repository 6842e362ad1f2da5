"""Who a candidate is: the setting that all candidates of a store share, plus an architecture and a seed."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any


def canonical_json(value: Any) -> str:
    """One spelling for equal values: sorted keys, no spaces, no NaN."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


@dataclass(frozen=True)
class Setting:
    """What every candidate of one store has in common; two settings are one if their JSON is.

    Attributes:
        space: name in `nap2.spaces.SPACES`.
        skeleton: keyword arguments of the space's `build` (`num_classes`, `stem_channels`, `cells_per_stage`, …).
        dataset: name of the image set, stand-ins under their own names.
        recipe: every value of the training recipe, its name included.
        every: optimizer steps between two snapshots.
    """

    space: str
    skeleton: Mapping[str, int]
    dataset: str
    recipe: Mapping[str, Any]
    every: int

    def as_dict(self) -> dict[str, Any]:
        """Plain containers, ready for JSON."""
        content: dict[str, Any] = json.loads(canonical_json(asdict(self)))
        return content

    def differences(self, other: "Setting") -> list[str]:
        """`name: mine ≠ theirs` for each value in which two settings differ, what weighs most first: the space."""
        mine, theirs = _flat(self.as_dict()), _flat(other.as_dict())
        names = sorted(mine.keys() | theirs.keys(), key=lambda name: (name != "space", "." in name, name))
        return [f"{n}: {mine.get(n)!r} ≠ {theirs.get(n)!r}" for n in names if mine.get(n) != theirs.get(n)]


@dataclass(frozen=True)
class Candidate:
    """(architecture, dataset, recipe, seed): one training run."""

    setting: Setting
    arch_str: str
    seed: int
    id: str = field(init=False)

    def __post_init__(self) -> None:
        content = {**self.setting.as_dict(), "arch_str": self.arch_str, "seed": self.seed}
        object.__setattr__(self, "id", hashlib.sha256(canonical_json(content).encode()).hexdigest()[:16])


def _flat(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        name = f"{prefix}{key}"
        flat.update(_flat(value, f"{name}.") if isinstance(value, Mapping) else {name: value})
    return flat
