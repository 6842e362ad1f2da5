"""Embeddings of every stored candidate in one Zarr group, written block by block so that memory stays flat."""

import hashlib
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import zarr
from torch import Tensor

from nap2.errors import StoreError

BLOCK = 64  # candidates per chunk


class EmbeddingStore:
    """Arrays `embedding` float32 `[A, T, D]` (NaN beyond the length) and `length` int64 `[A]` (0: not written).

    The attributes name the candidates, in order, and the encoders by hash: those of other encoders are never mixed in.
    """

    def __init__(self, group: zarr.Group) -> None:
        self._embedding: Any = group["embedding"]
        self._length: Any = group["length"]
        self.attributes: Mapping[str, Any] = dict(group.attrs)
        self._row = {name: row for row, name in enumerate(self.attributes["ids"])}

    @classmethod
    def create(cls, path: Path, ids: Sequence[str], num_snapshots: int, size: int, encoders: str) -> "EmbeddingStore":
        """Open the group at `path` if it holds just these, else start it anew (embeddings can always be made again)."""
        wanted: dict[str, Any] = {"ids": list(ids), "encoders": encoders, "num_snapshots": num_snapshots}
        if (path / "zarr.json").is_file():
            group = zarr.open_group(path, mode="r+")
            if {key: group.attrs.get(key) for key in wanted} == wanted:
                return cls(group)
            shutil.rmtree(path)
        group = zarr.open_group(path, mode="w")
        shape = (len(ids), num_snapshots, size)
        chunks = (min(BLOCK, len(ids)), num_snapshots, size)
        group.create_array("embedding", shape=shape, chunks=chunks, dtype="float32", fill_value=float("nan"))
        group.create_array("length", shape=shape[:1], chunks=chunks[:1], dtype="int64", fill_value=0)
        group.attrs.update(wanted)
        return cls(group)

    @classmethod
    def open(cls, path: Path) -> "EmbeddingStore":
        """Open an existing group.

        Raises:
            StoreError: if there is none.
        """
        if not (path / "zarr.json").is_file():
            raise StoreError(f"No embeddings at {path}; run stage=embed first.")
        return cls(zarr.open_group(path, mode="r"))

    @property
    def ids(self) -> list[str]:
        """Candidate ids, in the order of the rows."""
        return list(self._row)

    @property
    def encoders(self) -> str:
        """The hash of the encoders that made them."""
        return str(self.attributes["encoders"])

    def missing(self) -> list[str]:
        """Candidates that have no embedding yet, in order."""
        written = self._length[:] > 0
        return [name for name, row in self._row.items() if not written[row]]

    def write(self, ids: Sequence[str], trajectories: Sequence[Tensor]) -> None:
        """Write embeddings `[T, D]` of some candidates; lengths last, so that a killed writer leaves them missing."""
        rows = np.array([self._row[name] for name in ids], dtype=np.int64)
        block = np.full((len(rows), *self._embedding.shape[1:]), np.nan, dtype=np.float32)
        for place, trajectory in enumerate(trajectories):
            block[place, : len(trajectory)] = trajectory.numpy()
        self._embedding.oindex[rows] = block
        self._length.oindex[rows] = np.array([len(trajectory) for trajectory in trajectories])

    def read(self, ids: Sequence[str]) -> tuple[Tensor, Tensor]:
        """Embeddings `[A, T, D]` (zero beyond the length) and lengths int64 `[A]` of some candidates, in their order.

        Raises:
            StoreError: if one is unknown or not embedded yet.
        """
        unknown = [name for name in ids if name not in self._row]
        if unknown:
            raise StoreError(
                f"{len(unknown)} candidates (first: {unknown[0]}) have no embedding; run stage=embed again."
            )
        rows = np.array([self._row[name] for name in ids], dtype=np.int64)
        lengths = self._length.oindex[rows]
        if (lengths == 0).any():
            raise StoreError(f"{int((lengths == 0).sum())} candidates are not embedded yet; run stage=embed again.")
        values = np.nan_to_num(self._embedding.oindex[rows], nan=0.0)
        return torch.from_numpy(values), torch.from_numpy(lengths)


def fingerprint(state: Mapping[str, Tensor]) -> str:
    """A short hash of a state dict: names, shapes and bytes."""
    digest = hashlib.sha256()
    for name, tensor in sorted(state.items()):
        digest.update(f"{name}{tuple(tensor.shape)}{tensor.dtype}".encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]
