"""A trajectory: the ragged maps of the first snapshots of one training run, and how they were taken."""

import json
import os
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from nap2.errors import StoreError, described
from nap2.schema import COUNTS, MAX_LAYERS, MODALITIES
from nap2.snapshots.disk import write_atomically
from nap2.snapshots.layout import num_entries
from nap2.tensor_file import tensor_bytes


@dataclass(frozen=True)
class Trajectory:
    """Maps of `T` snapshots.

    Attributes:
        values: float32 `[T, M, N]`, raw statistics in the order of `nap2.snapshots.layout`.
        units: int64 `[L]`, output units of each recorded layer, before sampling.
        every: optimizer steps between two snapshots.
        counts: int64 `[T, M, C]`, see `nap2.schema.COUNTS`.
        layer_names: names of the recorded layers, in `named_modules()` order.
        num_layers: layers of the whole network, those beyond the 65 recorded included; None where nobody counted.
        unread: share of the network's weights in no convolution or linear layer; None where nobody counted.
    """

    values: Tensor
    units: Tensor
    every: int
    counts: Tensor
    layer_names: tuple[str, ...]
    num_layers: int | None = None
    unread: float | None = None

    def __post_init__(self) -> None:
        if not 1 <= len(self.units) <= MAX_LAYERS or self.units.dim() != 1 or int(self.units.min()) < 0:
            raise StoreError(
                f"A trajectory holds the units of 1 to {MAX_LAYERS} layers, at least 0 each, not "
                f"{list(self.units.shape)} numbers or negative ones; record it again."
            )
        expected = (len(self.values), len(MODALITIES), num_entries(self.units.tolist()))
        if tuple(self.values.shape) != expected or self.values.dtype != torch.float32:
            raise StoreError(
                f"A trajectory of these units holds float32 {expected}, "
                f"not {self.values.dtype} {tuple(self.values.shape)}; record it again."
            )
        if tuple(self.counts.shape) != (*expected[:2], len(COUNTS)):
            raise StoreError(
                f"Trajectory counts have shape {tuple(self.counts.shape)}, expected {(*expected[:2], len(COUNTS))}; "
                "record it again."
            )

    def __len__(self) -> int:
        return len(self.values)

    def first(self, num_snapshots: int) -> "Trajectory":
        """The same run seen for `num_snapshots` snapshots only.

        Raises:
            StoreError: if it has fewer, or `num_snapshots` < 1.
        """
        if not 1 <= num_snapshots <= len(self):
            raise StoreError(f"Asked for the first {num_snapshots} snapshots of a trajectory that holds {len(self)}.")
        return replace(self, values=self.values[:num_snapshots], counts=self.counts[:num_snapshots])

    def save(self, path: Path | str) -> None:
        """Write one safetensors file, and its folder where that is missing.

        Raises:
            StoreError: if it cannot be written.
        """
        path = Path(os.path.expanduser(path))
        tensors = {"values": self.values, "units": self.units, "counts": self.counts}
        metadata = {"format": "nap2-trajectory", "every": str(self.every), "layer_names": json.dumps(self.layer_names)}
        for name in ("num_layers", "unread"):
            if getattr(self, name) is not None:
                metadata[name] = str(getattr(self, name))
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(path, tensor_bytes(tensors, metadata))
        except (ValueError, OSError) as error:  # the first of a path without a name
            raise StoreError(f"The trajectory cannot be saved as {path} ({described(error)}).") from error

    @classmethod
    def load(cls, path: Path | str) -> "Trajectory":
        """Read what `save` wrote.

        Raises:
            StoreError: if the file is missing, damaged, or no trajectory.
        """
        from safetensors import SafetensorError, safe_open

        path = Path(os.path.expanduser(path))
        try:
            if not path.is_file():
                raise StoreError(f"No trajectory at {path}; save one with recorder.trajectory().save(…).")
            with safe_open(str(path), framework="pt") as file:
                metadata = file.metadata() or {}
                if metadata.get("format") != "nap2-trajectory":
                    raise StoreError(f"{path} is a safetensors file, but no trajectory.")
                tensors = {name: file.get_tensor(name) for name in ("values", "units", "counts")}
            every, names = int(metadata["every"]), tuple(json.loads(metadata["layer_names"]))
            num_layers = int(metadata["num_layers"]) if "num_layers" in metadata else None
            unread = float(metadata["unread"]) if "unread" in metadata else None
        except (SafetensorError, LookupError, ValueError, TypeError, OSError) as error:
            raise StoreError(f"{path} cannot be read as a trajectory ({described(error)}); record it again.") from error
        try:
            return cls(every=every, layer_names=names, num_layers=num_layers, unread=unread, **tensors)
        except (StoreError, TypeError) as error:  # of numbers that do not belong together
            raise StoreError(f"{path} cannot be read as a trajectory: {error}") from error
