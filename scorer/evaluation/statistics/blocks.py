"""Passes over long columns, a block of rows at a time.

A column that is held takes a few bytes a row; what is computed from it in between (float64, int64
to index with) would take many times that, and exists for one block only.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

BLOCK_ROWS = 65_536


def in_blocks(column: NDArray[Any]) -> Iterator[NDArray[Any]]:
    """The column's rows in order, as views of at most BLOCK_ROWS."""
    for start in range(0, len(column), BLOCK_ROWS):
        yield column[start : start + BLOCK_ROWS]


def occurrences(codes: NDArray[Any], n: int) -> NDArray[np.int64]:
    """int64 (n,): how many rows have each of the codes 0 to n - 1; negative ones are no code."""
    found = np.zeros(n, dtype=np.int64)
    for block in in_blocks(codes):
        found += np.bincount(block[block >= 0], minlength=n)
    return found


def look_up(table: NDArray[Any], codes: NDArray[Any]) -> NDArray[Any]:
    """`table[codes]`, (rows,), without an int64 index of every row."""
    found = np.empty(len(codes), dtype=table.dtype)
    for block, into in zip(in_blocks(codes), in_blocks(found), strict=True):
        into[:] = table[block]
    return found


def bins_of(values: NDArray[Any], edges: NDArray[Any]) -> NDArray[np.int16]:
    """int16 (rows,): how many of the rising `edges` (at most 32,767) each value has reached."""
    bins = np.empty(len(values), dtype=np.int16)
    for block, into in zip(in_blocks(values), in_blocks(bins), strict=True):
        into[:] = np.searchsorted(edges, block, side="right")
    return bins


def correlation(pairs: Iterable[tuple[NDArray[Any], NDArray[Any]]]) -> float:
    """Pearson's, of two columns given as blocks of both; NaN where one does not vary.

    Blocks' means and co-moments are merged as by Chan, Golub and LeVeque (1983).
    """
    rows, mean, moments = 0, np.zeros(2), np.zeros((2, 2))
    for x, y in pairs:
        block = np.array([x, y], dtype=np.float64)
        n, own = block.shape[1], block.mean(axis=1)
        off = block - own[:, None]
        apart = own - mean
        moments += off @ off.T + np.outer(apart, apart) * (rows * n / (rows + n))
        mean += apart * (n / (rows + n))
        rows += n
    spread = np.sqrt(moments[0, 0] * moments[1, 1])
    return float(moments[0, 1] / spread) if spread > 0 else float("nan")
