"""One candidate on disk: a Zarr root of its own, readable without torch, in which no damage stays silent.

A missing shard reads as the fill value and a flipped bit as another number, so three nets lie under one another: fill
value NaN, a CRC32C behind every chunk, and a SHA-256 over all arrays and attributes that every reading checks.
"""

import hashlib
import json
import math
import platform
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import zarr
import zarr.errors
from zarr.codecs import BloscCodec, Crc32cCodec

from nap2.errors import CorruptSnapshotError, StoreError, StoreVersionError, in_one_line
from nap2.schema import ARRAYS, COUNTS, MODALITIES, SCHEMA_VERSION, STATISTICS
from nap2.snapshots.curve import Curve
from nap2.snapshots.manifest import Candidate, Setting, canonical_json
from nap2.snapshots.one_writer import OneWriterStore
from nap2.versions import version_of

CURVE_ARRAYS = ("train_loss", "snapshot_accuracy", "snapshot_seconds", "epoch_accuracy")
"""Those that hold the lists of a training curve, under their names there."""

STORED_ARRAYS = ("values", "units", "counts", *CURVE_ARRAYS)
"""The arrays of a candidate in the order in which they are hashed; axes, dtypes and units are in `nap2.schema`."""

_FORMAT = "nap2-candidate"
_HASH = "content_sha256"
_DAMAGE = (OSError, ValueError, LookupError, TypeError, AttributeError, RuntimeError, ArithmeticError, MemoryError)
"""What zarr, its codecs and json raise on damaged bytes."""


@dataclass(frozen=True)
class CandidateRecord:
    """All that is stored of one candidate.

    Attributes:
        candidate: who it is.
        arrays: NumPy arrays by the names in `STORED_ARRAYS`.
        layer_names: names of the recorded layers.
        final_accuracy: test accuracy (fraction) at the end of the recipe, where the run went that far.
        versions: software that wrote it, and as `device` what trained it (older ones lack that).
        content_sha256: hash of everything above.
    """

    candidate: Candidate
    arrays: Mapping[str, np.ndarray[Any, Any]]
    layer_names: tuple[str, ...]
    final_accuracy: float | None
    versions: Mapping[str, str]
    content_sha256: str


def software_versions() -> dict[str, str]:
    """Versions that can change a stored number, by package."""
    installed = {package: version_of(package, "unknown") for package in ("nap2", "torch", "zarr", "numpy")}
    return {"python": platform.python_version(), **installed}


def curve_arrays(curve: Curve) -> dict[str, np.ndarray[Any, Any]]:
    """The arrays of a training curve, under their names in the schema."""
    return {name: np.asarray(getattr(curve, name), dtype=np.float32) for name in CURVE_ARRAYS}


def read_attributes(folder: Path) -> dict[str, Any]:
    """The attributes of one candidate, unverified but of this schema version: one small file.

    Raises:
        CorruptSnapshotError: if they cannot be parsed.
        StoreVersionError: if another schema wrote them.
    """
    try:
        with open(folder / "zarr.json", "rb") as file:
            attributes: dict[str, Any] = json.load(file)["attributes"]
        if attributes["format"] != _FORMAT:
            raise ValueError(f"format {attributes['format']!r}")
        found = int(attributes["schema_version"])
    except _DAMAGE as error:
        raise _explained(folder, error) from error
    check_schema_version(found, f"Candidate {folder.name}")
    return attributes


def check_schema_version(found: int, what: str) -> None:
    """Refuse what another schema wrote.

    Raises:
        StoreVersionError: unless `found` is this code's version.
    """
    if found > SCHEMA_VERSION:
        raise StoreVersionError(
            f"{what} has schema version {found}, this nap2 reads version {SCHEMA_VERSION}; update nap2 to read it."
        )
    if found < SCHEMA_VERSION:
        raise StoreVersionError(
            f"{what} has schema version {found}, this nap2 reads version {SCHEMA_VERSION} and knows no migration from "
            f"it; read it with the nap2 that wrote it, or start a new store."
        )


def write_candidate(
    folder: Path,
    candidate: Candidate,
    arrays: Mapping[str, np.ndarray[Any, Any]],
    layer_names: tuple[str, ...],
    final_accuracy: float | None = None,
    device: str = "cpu",
) -> None:
    """Write one candidate into a folder that does not exist yet.

    Args:
        folder: where; not visible to readers until it is renamed into place.
        candidate: who it is.
        arrays: `STORED_ARRAYS`, of the shapes and dtypes of `nap2.schema.ARRAYS`.
        layer_names: `L` names.
        final_accuracy: a fraction, where known.
        device: what trained it: a GPU's name, or `cpu`.

    Raises:
        StoreError: if the arrays do not fit the schema or one another.
        OSError: whatever the disk says.
    """
    arrays = {name: np.ascontiguousarray(arrays[name]) for name in STORED_ARRAYS}
    _check(arrays, layer_names, final_accuracy)
    attributes = {
        "format": _FORMAT,
        "schema_version": SCHEMA_VERSION,
        "id": candidate.id,
        "setting": candidate.setting.as_dict(),
        "arch_str": candidate.arch_str,
        "seed": candidate.seed,
        "layer_names": list(layer_names),
        "modalities": list(MODALITIES),
        "statistics": list(STATISTICS),
        "count_names": list(COUNTS),
        "num_snapshots": len(arrays["values"]),
        "num_entries": arrays["values"].shape[2],
        "final_accuracy": final_accuracy,
        "versions": software_versions() | {"device": device},
    }
    attributes[_HASH] = content_hash(attributes, arrays)
    group = zarr.create_group(OneWriterStore(folder), attributes=attributes)
    for name, array in arrays.items():
        _write_array(group, name, array)


def read_candidate(folder: Path) -> CandidateRecord:
    """Read one candidate and check every byte of it.

    Raises:
        CorruptSnapshotError: if anything differs from what was written.
        StoreVersionError: if another schema wrote it.
        StoreError: if the file system refuses to read it.
    """
    attributes = read_attributes(folder)
    try:
        arrays = {name: _read_array(folder / name) for name in STORED_ARRAYS}
        expected = attributes.pop(_HASH)
        found = content_hash(attributes, arrays)
        if found != expected:
            raise ValueError(f"content hash {found[:12]}…, written was {str(expected)[:12]}…")
        setting = Setting(**attributes["setting"])
        candidate = Candidate(setting, attributes["arch_str"], attributes["seed"])
        if candidate.id != attributes["id"]:
            raise ValueError(f"identity {candidate.id}, written was {attributes['id']}")
    except (*_DAMAGE, zarr.errors.BaseZarrError) as error:
        raise _explained(folder, error) from error
    names, final_accuracy = tuple(attributes["layer_names"]), attributes["final_accuracy"]
    return CandidateRecord(candidate, arrays, names, final_accuracy, attributes["versions"], expected)


def content_hash(attributes: Mapping[str, Any], arrays: Mapping[str, np.ndarray[Any, Any]]) -> str:
    """SHA-256 (hex) over the attributes and over names, dtypes, shapes and bytes of the arrays in their order."""
    digest = hashlib.sha256(canonical_json({k: v for k, v in attributes.items() if k != _HASH}).encode())
    for name in STORED_ARRAYS:
        array = np.ascontiguousarray(arrays[name])
        digest.update(f"|{name}|{array.dtype.str}|{array.shape}|".encode())
        digest.update(array.reshape(-1).view(np.uint8).data)
    return digest.hexdigest()


def _check(arrays: Mapping[str, np.ndarray[Any, Any]], layer_names: tuple[str, ...], accuracy: float | None) -> None:
    sizes: dict[str, int] = {"M": len(MODALITIES), "C": len(COUNTS), "L": len(layer_names)}
    for name, array in arrays.items():
        spec = ARRAYS[name]
        axes = dict(zip(spec.axes, array.shape, strict=False))
        fits = array.ndim == len(spec.axes) and all(sizes.setdefault(axis, n) == n for axis, n in axes.items())
        if array.dtype.name != spec.dtype or not fits:
            expected = ", ".join(f"{axis}={sizes[axis]}" if axis in sizes else axis for axis in spec.axes)
            raise StoreError(
                f"Array {name!r} of a candidate is {array.dtype.name} {array.shape}, expected {spec.dtype} "
                f"[{expected}]; record it again."
            )
    if sizes["T"] < 1:
        raise StoreError("A candidate without a snapshot cannot be stored; train it for at least one interval.")
    if accuracy is not None and not math.isfinite(accuracy):
        raise StoreError(f"A final accuracy of {accuracy} cannot be stored; leave it out where it is not known.")


def _write_array(group: zarr.Group, name: str, array: np.ndarray[Any, Any]) -> None:
    spec, shape = ARRAYS[name], tuple(max(1, n) for n in array.shape)
    stored = group.create_array(
        name,
        shape=array.shape,
        dtype=spec.dtype,
        chunks=(1, *shape[1:]) if name == "values" else shape,  # one snapshot can be read alone
        shards=shape,
        filters=None,
        compressors=[BloscCodec(cname="zstd", clevel=3, shuffle="shuffle"), Crc32cCodec()],
        fill_value=float("nan") if array.dtype.kind == "f" else -1,
        chunk_key_encoding={"name": "default", "separator": "."},  # a file, not a folder per axis
        dimension_names=spec.axes,
        attributes={"unit": spec.unit, "meaning": spec.meaning},
    )
    if array.size:
        stored[...] = array


def _read_array(path: Path) -> np.ndarray[Any, Any]:
    return np.asarray(zarr.open_array(path, mode="r")[...])


def _explained(folder: Path, error: BaseException) -> StoreError:
    refused = isinstance(error, OSError) and not isinstance(error, FileNotFoundError) and error.errno is not None
    if refused:
        return StoreError(f"Candidate {folder.name} at {folder} cannot be read: {error}; check the file system.")
    return CorruptSnapshotError(
        f"Candidate {folder.name} is damaged ({in_one_line(error)}); delete {folder} and run stage=snapshot again "
        f"(stage=index lists all damaged ones)."
    )
