"""What all kernels share: how they are compiled, and how they find the rows of a tile.

Float arrays that a kernel writes have rows of whole vectors: a leading dimension `ld` of at least
`padded(columns)`, in which the columns beyond the layer's own hold no meaning.

Numba's disk cache sees that a kernel is out of date by its own file's time alone, not by what it
calls. So every kernel has a last argument, never passed, whose default BUILD changes with any file
of this package and is part of the cache's key.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numba import njit

BUILD = zlib.crc32(b"".join(p.read_bytes() for p in sorted(Path(__file__).parent.glob("*.py"))))


def kernel(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile for calls from Python: without the GIL, cached on disk."""
    compiled: Callable[..., Any] = njit(nogil=True, cache=True)(function)
    return compiled


def part(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile for calls from kernels."""
    compiled: Callable[..., Any] = njit(nogil=True)(function)
    return compiled


class Rows(NamedTuple):
    """Where the rows of a tile lie, and how far they are read.

    tokens  what a position holds: a token id, or a row of a sequence
    ids     int32 (total,), the token ids
    starts  int64 (rows,), where a row begins in ids or in the sequence
    stored  int64 (rows,), how many of its positions are there; `_source` tells what follows
    steps   int64 (rows,), how many positions the layer reads, or makes
    """

    tokens: bool
    ids: np.ndarray
    starts: np.ndarray
    stored: np.ndarray
    steps: np.ndarray


@part
def source(rows: Rows, row: int, position: int) -> int:
    """The token id, or the place in the sequence, that a row has at a position.

    Tokens end in padding, id 0. The positions of a sequence past the stored ones equal the last.
    """
    if rows.tokens and position >= rows.stored[row]:
        return 0
    place = rows.starts[row] + min(position, rows.stored[row] - 1)
    return int(rows.ids[place]) if rows.tokens else place
