"""The compiled loops behind Dense and activations. They allocate nothing and use one core."""

from __future__ import annotations

import numpy as np

from scorer.compiling.kernel import kernel, part
from scorer.engines.cpu.loops.simd import (
    exp_lanes,
    hard_sigmoid_lanes,
    product_block,
    relu_lanes,
    sigmoid_lanes,
    tanh_lanes,
)
from scorer.engines.cpu.loops.vectors import COLUMNS, LANES, ROWS


@part
def multiply_blocks(table: np.ndarray, k: int, weights: np.ndarray, out: np.ndarray) -> None:
    """product_block over the rows of `table`, int64 (4, rows + ROWS), into out (rows + 1, columns).

    The last block is filled up with the last row, whose results then go to the row after it.
    """
    rows = len(out) - 1
    for r in range(rows, rows + ROWS):
        table[1, r], table[2, r] = table[1, rows - 1], table[2, rows - 1]
        table[0, r] = table[3, r] = out.ctypes.data + rows * 4 * out.shape[1]
    for column in range(0, out.shape[1], COLUMNS):
        w = weights.ctypes.data + 4 * k * column
        for r in range(0, rows, ROWS):
            product_block(table.ctypes.data + 8 * r, table.shape[1], column, column, k, 0, w)


@kernel
def affine(
    x: np.ndarray,
    k: int,
    weights: np.ndarray,
    bias: np.ndarray,
    table: np.ndarray,
    out: np.ndarray,
) -> None:
    """out = x W + bias, row by row.

    x        float32 (rows, ld), k columns of it
    weights  packed (blocks, k, 4, LANES)
    bias     float32 (blocks * COLUMNS,)
    table    int64 (4, rows + ROWS): scratch for addresses
    out      float32 (rows + 1, blocks * COLUMNS), its last row scratch
    """
    for r in range(len(x)):
        table[0, r] = bias.ctypes.data
        table[1, r] = x.ctypes.data + r * 4 * x.shape[1]
        table[2, r] = table[1, r]
        table[3, r] = out.ctypes.data + r * 4 * out.shape[1]
    multiply_blocks(table, k, weights, out)


RELU, SIGMOID, TANH, SOFTMAX, HARD_SIGMOID = 1, 2, 3, 4, 5


@part
def softmax_row(row: np.ndarray, columns: int) -> None:
    """exp(x - max x) / sum exp(x - max x) over float32 (columns,), in place, summed in order."""
    highest = row[0]
    for i in range(1, columns):
        highest = max(highest, row[i])
    for i in range(columns):
        row[i] -= highest
    for i in range(0, columns, LANES):
        exp_lanes(row.ctypes.data + 4 * i)
    total = np.float32(0)
    for i in range(columns):
        total += row[i]
    for i in range(columns):
        row[i] /= total


@kernel
def normalize(values: np.ndarray, columns: int) -> None:
    """Divide the first `columns` of each row, float32 (rows, ld), by their Euclidean length."""
    for r in range(len(values)):
        square = 0.0
        for i in range(columns):
            square += np.float64(values[r, i]) * values[r, i]
        if square > 0:
            length = np.sqrt(square)
            for i in range(columns):
                values[r, i] /= length


@part
def apply_lanes(address: int, kind: int) -> None:
    """Apply RELU, SIGMOID, TANH or HARD_SIGMOID to LANES numbers in place; 0 leaves them."""
    if kind == RELU:
        relu_lanes(address)
    elif kind == SIGMOID:
        sigmoid_lanes(address)
    elif kind == TANH:
        tanh_lanes(address)
    elif kind == HARD_SIGMOID:
        hard_sigmoid_lanes(address)


@kernel
def activate(values: np.ndarray, columns: int, kind: int) -> None:
    """Apply RELU, SIGMOID, TANH or SOFTMAX (over `columns`) to float32 (rows, ld) in place."""
    for r in range(len(values)):
        row = values[r]
        if kind == SOFTMAX:
            softmax_row(row, columns)
            continue
        for i in range(0, columns, LANES):
            apply_lanes(row.ctypes.data + 4 * i, kind)
