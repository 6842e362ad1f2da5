"""Embeddings of every stored candidate in one Zarr group, written block by block so that memory stays flat.

A missing chunk reads as the fill value and a flipped bit as another number, so chunks carry a checksum, and nothing
that is not finite is given out.
"""

import hashlib
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
import zarr
import zarr.errors
from torch import Tensor
from zarr.codecs import ZstdCodec

from nap2.errors import StoreError, in_one_line
from nap2.schema import ARRAYS
from nap2.snapshots.one_writer import OneWriterStore

BLOCK = 64  # candidates per chunk
_DAMAGE = (ValueError, LookupError, TypeError, RuntimeError, zarr.errors.BaseZarrError)  # what zarr makes of bad bytes


class EmbeddingStore:
    """Arrays `embedding` float32 `[A, T, D]` (NaN beyond the length) and `length` int64 `[A]` (0: not written).

    The attributes name the candidates, in order, and the encoders by hash: those of other encoders are never mixed in.
    """

    def __init__(self, path: Path, group: zarr.Group) -> None:
        self.path = path
        self._embedding: Any = group["embedding"]
        self._length: Any = group["length"]
        self.attributes: Mapping[str, Any] = dict(group.attrs)
        self._row = {name: row for row, name in enumerate(self.attributes["ids"])}

    @classmethod
    def create(cls, path: Path, ids: Sequence[str], num_snapshots: int, size: int, encoders: str) -> "EmbeddingStore":
        """Open the group at `path` if it holds just these, else start it anew (embeddings can always be made again)."""
        wanted: dict[str, Any] = {"ids": list(ids), "encoders": encoders, "num_snapshots": num_snapshots}
        if (path / "zarr.json").is_file():
            with suppress(*_DAMAGE):
                found = cls(path, zarr.open_group(path, mode="r+"))
                if {key: found.attributes.get(key) for key in wanted} == wanted:
                    return found
            shutil.rmtree(path)
        group = zarr.open_group(OneWriterStore(path), mode="w")
        shape = (len(ids), num_snapshots, size)
        chunks = (min(BLOCK, len(ids)), num_snapshots, size)
        codec = ZstdCodec(checksum=True)
        for name, fill in (("embedding", float("nan")), ("length", 0)):
            axes, dtype = len(ARRAYS[name].axes), ARRAYS[name].dtype
            group.create_array(
                name, shape=shape[:axes], chunks=chunks[:axes], dtype=dtype, fill_value=fill, compressors=codec
            )
        group.attrs.update(wanted)
        return cls(path, group)

    @classmethod
    def open(cls, path: Path) -> "EmbeddingStore":
        """Open an existing group.

        Raises:
            StoreError: if there is none, or it is damaged.
        """
        if not (path / "zarr.json").is_file():
            raise StoreError(f"No embeddings at {path}; run stage=embed first.")
        with _intact(path):
            return cls(path, zarr.open_group(path, mode="r"))

    @property
    def ids(self) -> list[str]:
        """Candidate ids, in the order of the rows."""
        return list(self._row)

    @property
    def encoders(self) -> str:
        """The hash of the encoders that made them."""
        return str(self.attributes["encoders"])

    def missing(self, held: Mapping[str, int] = MappingProxyType({})) -> list[str]:
        """Candidates, in order, that have no embedding yet, or fewer than the snapshots that are `held` of them."""
        with _intact(self.path):
            lengths = self._length[:].tolist()
        most = self._embedding.shape[1]
        return [name for name, row in self._row.items() if lengths[row] < min(most, held.get(name, 1))]

    def write(self, ids: Sequence[str], trajectories: Sequence[Tensor]) -> None:
        """Write embeddings `[T, D]` of some candidates; lengths last, so that a killed writer leaves them missing."""
        rows = np.array([self._row[name] for name in ids], dtype=np.int64)
        block = np.full((len(rows), *self._embedding.shape[1:]), np.nan, dtype=np.float32)
        for place, trajectory in enumerate(trajectories):
            block[place, : len(trajectory)] = trajectory.numpy()
        with _intact(self.path):
            self._embedding.oindex[rows] = block
            self._length.oindex[rows] = np.array([len(trajectory) for trajectory in trajectories])

    def read(self, ids: Sequence[str]) -> tuple[Tensor, Tensor]:
        """Embeddings `[A, T, D]` (zero beyond the length) and lengths int64 `[A]` of some candidates, in their order.

        Raises:
            StoreError: if one is unknown or not embedded yet, or the bytes are not those that were written.
        """
        unknown = [name for name in ids if name not in self._row]
        if unknown:
            raise StoreError(
                f"{len(unknown)} candidates (first: {unknown[0]}) have no embedding; run stage=embed again."
            )
        rows = np.array([self._row[name] for name in ids], dtype=np.int64)
        with _intact(self.path):
            lengths, values = self._length.oindex[rows], self._embedding.oindex[rows]
        if (lengths == 0).any():
            raise StoreError(f"{int((lengths == 0).sum())} candidates are not embedded yet; run stage=embed again.")
        is_held = np.arange(values.shape[1]) < lengths[:, None]  # [A, T]
        with _intact(self.path):
            if not np.isfinite(values[is_held]).all():
                raise ValueError("values that are missing or not finite")
        values[~is_held] = 0.0
        return torch.from_numpy(values), torch.from_numpy(lengths)


@contextmanager
def _intact(path: Path) -> Iterator[None]:
    try:
        yield
    except _DAMAGE as error:
        raise StoreError(
            f"The embeddings at {path} are damaged ({in_one_line(error)}); delete that folder and run "
            "stage=embed again."
        ) from error


def fingerprint(state: Mapping[str, Tensor]) -> str:
    """A short hash of a state dict: names, shapes and bytes."""
    digest = hashlib.sha256()
    for name, tensor in sorted(state.items()):
        digest.update(f"{name}{tuple(tensor.shape)}{tensor.dtype}".encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]
