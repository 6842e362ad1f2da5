"""Float32 numbers as byte planes that compress well: rounded in the mantissa, exponents and the rest apart.

Exponents of one statistic hardly differ between units and shrink to two or three bits each under zstd; mantissas do not
shrink at all, so the number of mantissa bits is what a number costs. Rounding is to nearest, ties to even: the relative
error of a normal number is at most 2^-(bits + 1), zero and sign stay, and equal or ordered numbers stay so.
"""

from typing import Any

import numpy as np
from numcodecs import Zstd

MANTISSA_BITS = 23  # of float32: keeps every bit, NaN and infinity included
_LEVEL = 19
_EXPONENT = np.uint32(0xFF)

Floats = np.ndarray[Any, np.dtype[np.float32]]
Words = np.ndarray[Any, np.dtype[np.uint32]]


def rounded(values: Floats, bits: int) -> Floats:
    """Values with all but `bits` mantissa bits zero; of the same shape. Overflow gives an infinity."""
    return (_words(values, bits) << np.uint32(MANTISSA_BITS - bits)).view(np.float32).reshape(values.shape)


def packed(values: Floats, bits: int) -> list[bytes]:
    """One zstd frame per byte plane: exponents, then sign and mantissa from their top bits down."""
    words = _words(values, bits)
    exponent = (words >> np.uint32(bits)) & _EXPONENT
    rest = (words >> np.uint32(bits + 8)) << np.uint32(bits) | (words & np.uint32((1 << bits) - 1))
    planes = [exponent, *((rest >> np.uint32(shift)) & np.uint32((1 << width) - 1) for shift, width in _cuts(bits))]
    codec = Zstd(level=_LEVEL)
    return [bytes(codec.encode(plane.astype(np.uint8))) if plane.size else b"" for plane in planes]


def unpacked(frames: list[bytes], bits: int, shape: tuple[int, ...]) -> Floats:
    """What `packed` was given, rounded.

    Raises:
        ValueError, RuntimeError: if the frames do not hold that many numbers.
    """
    size = int(np.prod(shape))
    if size == 0:
        return np.zeros(shape, dtype=np.float32)
    exponent, *planes = (_plane(frame, size) for frame in frames)
    rest = np.zeros(size, dtype=np.uint32)
    for plane, (shift, _) in zip(planes, _cuts(bits), strict=True):
        rest |= plane << np.uint32(shift)
    sign, mantissa = rest >> np.uint32(bits), rest & np.uint32((1 << bits) - 1)
    words = (sign << np.uint32(bits + 8) | exponent << np.uint32(bits) | mantissa) << np.uint32(MANTISSA_BITS - bits)
    result: Floats = words.view(np.float32).reshape(shape)
    return result


def num_planes(bits: int) -> int:
    """Frames of one array."""
    return 1 + len(_cuts(bits))


def _words(values: Floats, bits: int) -> Words:
    """uint32: sign, exponent and the `bits` mantissa bits of each value, at the low end."""
    words = np.ascontiguousarray(values, dtype=np.float32).reshape(-1).view(np.uint32)
    dropped = MANTISSA_BITS - bits
    if dropped == 0:
        return words
    is_odd = (words >> np.uint32(dropped)) & np.uint32(1)
    result: Words = (words + np.uint32((1 << (dropped - 1)) - 1) + is_odd) >> np.uint32(dropped)
    return result


def _cuts(bits: int) -> list[tuple[int, int]]:
    """Shift and width of each plane of the `bits + 1` bits of sign and mantissa, widest cut first."""
    left, cuts = bits + 1, []
    while left > 0:
        width = min(8, left)
        left -= width
        cuts.append((left, width))
    return cuts


def _plane(frame: bytes, size: int) -> Words:
    plane = np.frombuffer(Zstd().decode(frame), dtype=np.uint8)
    if plane.size != size:
        raise ValueError(f"a plane of {plane.size} bytes where {size} belong")
    return plane.astype(np.uint32)
