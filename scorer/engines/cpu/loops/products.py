"""The matrix product that every layer rests on."""

from __future__ import annotations

import numpy as np

from scorer.engines.cpu.loops import general, kernels
from scorer.engines.cpu.loops.simd import empty, zeros
from scorer.engines.cpu.loops.vectors import ROWS


def multiply(x: np.ndarray, packed: np.ndarray, bias: np.ndarray) -> np.ndarray:
    """x W + bias, float32 (rows, blocks * COLUMNS), each row independent of the others.

    x float32 (rows, ld >= k); packed (blocks, k, 4, LANES); bias float32 (blocks * COLUMNS,).
    """
    rows, (blocks, k, gates, lanes) = len(x), packed.shape
    out = empty(rows + 1, blocks * gates * lanes)
    if rows:
        table = np.empty((4, rows + ROWS), dtype=np.int64)
        kernels.affine(x, k, packed, bias, table, out)
    return out[:rows]


def batch_products(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """a[n] @ b[n] for each n: float32 (n, i, k) and (n, k, j) to (n, i, j)."""
    out = np.empty((len(a), a.shape[1], b.shape[2]), dtype=np.float32)
    general.products(np.ascontiguousarray(a), np.ascontiguousarray(b), out)
    return out


def widen(bias: np.ndarray, columns: int) -> np.ndarray:
    """`bias` (n,) followed by zeros up to `columns`."""
    wide = zeros(columns)
    wide[: len(bias)] = bias
    return wide
