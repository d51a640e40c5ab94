"""How kernels find the rows of a tile.

Float arrays that a kernel writes have rows of whole vectors: a leading dimension `ld` of at least
`padded(columns)`, in which the columns beyond the layer's own hold no meaning.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from scorer.compiling.kernel import part


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
