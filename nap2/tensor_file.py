"""Tensors as the bytes of a safetensors file, with torch alone: what `safetensors.torch` writes with needs numpy.

The layout is that of the safetensors library, byte by byte: the length of the header, the header as JSON, the tensors.
"""

import ctypes
import json
from collections.abc import Mapping
from types import MappingProxyType

import torch
from torch import Tensor

NAMES: Mapping[torch.dtype, str] = MappingProxyType(
    {
        torch.bool: "BOOL",
        torch.uint8: "U8",
        torch.int8: "I8",
        torch.int16: "I16",
        torch.float16: "F16",
        torch.bfloat16: "BF16",
        torch.int32: "I32",
        torch.float32: "F32",
        torch.float64: "F64",
        torch.int64: "I64",
    }
)
"""In the order in which the library lays them out, the last one first."""
ALIGNMENT = 8


def tensor_bytes(tensors: Mapping[str, Tensor], metadata: Mapping[str, str] | None = None) -> bytes:
    """A whole file, which any reader of safetensors loads.

    Args:
        tensors: by name, of the types in `NAMES` and on any device; they may share memory.
        metadata: texts that stand in the header.
    """
    ranks = {dtype: rank for rank, dtype in enumerate(NAMES)}
    header: dict[str, object] = {"__metadata__": dict(metadata)} if metadata else {}
    parts, end = [], 0
    for name in sorted(tensors, key=lambda name: (-ranks[tensors[name].dtype], name)):
        part, start = _bytes(tensors[name]), end
        end += len(part)
        shape = list(tensors[name].shape)
        header[name] = {"dtype": NAMES[tensors[name].dtype], "shape": shape, "data_offsets": [start, end]}
        parts.append(part)
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % ALIGNMENT)
    return b"".join([len(text).to_bytes(8, "little"), text, *parts])


def _bytes(tensor: Tensor) -> bytes:
    plain = tensor.detach().cpu().contiguous()
    return ctypes.string_at(plain.data_ptr(), plain.numel() * plain.element_size()) if plain.numel() else b""
