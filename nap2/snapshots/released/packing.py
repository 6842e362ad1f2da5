"""One candidate as one self-contained blob: a compressed JSON header, then zstd frames one after another.

    4 bytes: length of the header (little endian) │ header │ frames, whose lengths the header lists

Each of the arrays is cut into frames by `planes`: the curves with every bit, the kept statistics per modality with as
many mantissa bits as the header says. Where the reduction does not hold, the flat values lie there with every bit.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numcodecs import Zstd

from nap2.schema import COUNTS, MODALITIES
from nap2.snapshots.candidate_folder import CURVE_ARRAYS, STORED_ARRAYS, CandidateRecord
from nap2.snapshots.layout import num_entries
from nap2.snapshots.manifest import Candidate, Setting, canonical_json
from nap2.snapshots.released.planes import MANTISSA_BITS, Floats, num_planes, packed, rounded, unpacked
from nap2.snapshots.released.reduction import KEPT, KEPT_SCALARS, layout_of, reduced, restored


def pack(record: CandidateRecord, bits: int) -> bytes:
    """The blob of one candidate.

    Args:
        record: as the store holds it.
        bits: mantissa bits kept of each statistic, 1..23.
    """
    values, units = record.arrays["values"], tuple(record.arrays["units"].tolist())
    found = reduced(values, units)
    if found is not None and not all(np.isfinite(rounded(a, bits)).all() for a in found[0].values()):
        found = None  # rounded up beyond float32
    kept, fan_in = found or ({"values": values}, None)
    bits = bits if found else MANTISSA_BITS
    curves = [packed(record.arrays[name], MANTISSA_BITS) for name in CURVE_ARRAYS]
    statistics = [packed(array[:, m], bits) for array in kept.values() for m in range(len(MODALITIES))]
    frames = [frame for group in (*curves, *statistics) for frame in group]
    header = {
        "arch_str": record.candidate.arch_str,
        "seed": record.candidate.seed,
        "bits": bits,
        "units": units,
        "fan_in": fan_in,
        "layer_names": record.layer_names,
        "counts": record.arrays["counts"].tolist(),
        "curves": {name: len(record.arrays[name]) for name in CURVE_ARRAYS},
        "final_accuracy": record.final_accuracy,
        "versions": dict(record.versions),
        "source_sha256": record.content_sha256,
        "frames": [len(frame) for frame in frames],
    }
    head = bytes(Zstd(level=19).encode(canonical_json(header).encode()))
    return b"".join((len(head).to_bytes(4, "little"), head, *frames))


def unpack(blob: bytes, setting: Setting, content_sha256: str) -> CandidateRecord:
    """Read what `pack` wrote; the statistics are rounded, everything else is as it was.

    Args:
        blob: its bytes, which the caller has checked.
        setting: of the set.
        content_sha256: what the record is to call its hash.

    Raises:
        ValueError, LookupError, TypeError, RuntimeError: if it is no such blob.
    """
    start = 4 + int.from_bytes(blob[:4], "little")
    header = json.loads(Zstd().decode(blob[4:start]))
    frames = _frames(blob, start, header["frames"])
    arrays: dict[str, Any] = {n: _next(frames, MANTISSA_BITS, (header["curves"][n],)) for n in CURVE_ARRAYS}
    units, num_snapshots = tuple(header["units"]), len(header["counts"])
    arrays["units"] = np.array(units, dtype=np.int64)
    arrays["counts"] = np.array(header["counts"], dtype=np.int64).reshape(num_snapshots, len(MODALITIES), len(COUNTS))
    arrays["values"] = _values(frames, header, num_snapshots)
    candidate = Candidate(setting, header["arch_str"], header["seed"])
    names, accuracy = tuple(header["layer_names"]), header["final_accuracy"]
    ordered = {name: arrays[name] for name in STORED_ARRAYS}
    return CandidateRecord(candidate, ordered, names, accuracy, header["versions"], content_sha256)


def _values(frames: Iterator[bytes], header: Mapping[str, Any], num_snapshots: int) -> Floats:
    units, bits = tuple(header["units"]), header["bits"]
    if header["fan_in"] is None:
        return _modalities(frames, bits, (num_snapshots, num_entries(units)))
    layout = layout_of(units)
    sizes = {name: len(layout.layer) if name in KEPT_SCALARS else len(layout.quantiles) for name in KEPT}
    kept = {name: _modalities(frames, bits, (num_snapshots, size)) for name, size in sizes.items()}
    return restored(kept, units, tuple(header["fan_in"]))


def _modalities(frames: Iterator[bytes], bits: int, shape: tuple[int, ...]) -> Floats:
    return np.stack([_next(frames, bits, shape) for _ in MODALITIES], axis=1)  # [T, M, …]


def _next(frames: Iterator[bytes], bits: int, shape: tuple[int, ...]) -> Floats:
    return unpacked([next(frames) for _ in range(num_planes(bits))], bits, shape)


def _frames(blob: bytes, start: int, lengths: list[int]) -> Iterator[bytes]:
    if start + sum(lengths) != len(blob):
        raise ValueError(f"{len(blob)} bytes where {start + sum(lengths)} belong")
    for length in lengths:
        yield blob[start : start + length]
        start += length
