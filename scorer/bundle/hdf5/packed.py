"""An HDF5 array that is stored as one deflated chunk, its bytes shuffled or not.

Weights rounded to 11 bits take half the room that way, and Keras reads them as any other. No other
filter, and no array of several chunks, is read.

Layout message (version 3), filter messages (versions 1 and 2) and the B-tree of chunks (version 1):
HDF5 File Format Specification 3.0, sections IV.A.2.i, IV.A.2.l and III.A.1.
"""

from __future__ import annotations

import math
import struct
import zlib
from dataclasses import dataclass

import numpy as np

_DEFLATE, _SHUFFLE = 1, 2
#: how much more than the stored bytes an array may hold, beyond the first 64 KiB; float32 whose
#: mantissas have 11 bits shrink to a half
MAX_EXPANSION, FREE_BYTES = 16, 1 << 16
#: shuffled values that are put together at a time: they and their bytes stay in the cache
_AT_A_TIME = 1 << 13


@dataclass(frozen=True)
class Packed:
    """Where an array's deflated bytes lie, and whether they were shuffled before."""

    offset: int
    size: int
    shuffled: bool


def filters(data: bytes) -> tuple[int, ...]:
    """The numbers of the filters of a filter message, in the order in which a writer applies them.

    Raises ValueError for a message of another version.
    """
    version, count = data[0], data[1]
    if version not in (1, 2):
        raise ValueError(f"filters of version {version}")
    at, found = 8 if version == 1 else 2, []
    for _ in range(count):
        (number,) = struct.unpack_from("<H", data, at)
        at += 2
        named = version == 1 or number >= 256
        length = struct.unpack_from("<H", data, at)[0] if named else 0
        at += 2 * named
        _, values = struct.unpack_from("<HH", data, at)
        padded = -(-length // 8) * 8 if version == 1 else length
        at += 4 + padded + 4 * (values + values % 2 if version == 1 else values)
        found.append(number)
    return tuple(found)


def packed(
    raw: bytes, layout: bytes, shape: tuple[int, ...], chain: tuple[int, ...]
) -> Packed | None:
    """The one chunk of an array of this shape; None where it is stored in another way.

    layout is the data of its layout message, of the class "chunked"; chain its filters' numbers.
    """
    if layout[0] != 3 or chain not in ((_DEFLATE,), (_SHUFFLE, _DEFLATE)):
        return None
    rank = layout[2] - 1
    (tree,) = struct.unpack_from("<Q", layout, 3)
    chunk = struct.unpack_from(f"<{rank}I", layout, 11)
    if chunk != shape or raw[tree : tree + 6] != b"TREE\1\0":
        return None
    (used,) = struct.unpack_from("<H", raw, tree + 6)
    if used != 1:
        return None
    size, mask, *place, address = struct.unpack_from(f"<II{rank + 1}QQ", raw, tree + 24)
    if mask or any(place) or address + size > len(raw):
        return None
    return Packed(address, size, _SHUFFLE in chain)


def may_hold(part: Packed, count: int, width: int) -> bool:
    """Whether `count` values of `width` bytes are few enough for the bytes that are stored."""
    return count * width <= max(FREE_BYTES, MAX_EXPANSION * part.size)


def unpacked(raw: bytes, part: Packed, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    """The array. Raises ValueError where the bytes inflate to fewer or more than it has."""
    count = math.prod(shape)
    if not may_hold(part, count, dtype.itemsize):
        raise ValueError("an array of far more bytes than are stored")
    wanted = count * dtype.itemsize
    inflater = zlib.decompressobj()
    try:
        stored = memoryview(raw)[part.offset : part.offset + part.size]
        data = inflater.decompress(stored, wanted + 1)
    except zlib.error as error:
        raise ValueError(f"an array that does not inflate: {error}") from error
    if len(data) != wanted or not inflater.eof:
        raise ValueError("an array that inflates to another size")
    if part.shuffled:
        return _joined(np.frombuffer(data, np.uint8).reshape(dtype.itemsize, count), dtype, shape)
    return np.frombuffer(data, dtype, count).reshape(shape).copy()


def _joined(planes: np.ndarray, dtype: np.dtype, shape: tuple[int, ...]) -> np.ndarray:
    """Values whose first bytes lie together, then their second ones, and so on.

    planes uint8 (bytes of a value, values), in the order of `dtype`'s bytes
    """
    width, count = planes.shape
    from_the_highest = planes if dtype == dtype.newbyteorder(">") else planes[::-1]
    bits = np.empty(count, f"u{width}")
    for first in range(0, count, _AT_A_TIME):
        some = slice(first, first + _AT_A_TIME)
        bits[some] = from_the_highest[0, some]
        for plane in from_the_highest[1:]:
            bits[some] <<= 8
            bits[some] |= plane[some]
    return bits.view(dtype.newbyteorder("=")).astype(dtype, copy=False).reshape(shape)
