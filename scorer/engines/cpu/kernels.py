"""The compiled loops behind LSTM and Dense. They allocate nothing and use one core."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from scorer.compiling.kernel import kernel, part
from scorer.engines.cpu.compiled import Rows, source
from scorer.engines.cpu.gates import lstm_lanes
from scorer.engines.cpu.simd import (
    exp_lanes,
    prefetch_block,
    product_block,
    relu_lanes,
    sigmoid_lanes,
    tanh_lanes,
)
from scorer.engines.cpu.vectors import COLUMNS, GATES, LANES, ROWS


class Cell(NamedTuple):
    """One direction of an LSTM layer.

    table    float32 (n, 4 * padded(units)): what z starts from, packed. A row for each id where
             embedding and input weights are folded into it, else one: the bias
    x        float32 (positions or vocabulary, ld): the input, of which kx columns are multiplied
    kx       columns of x; 0 when folded
    weights  packed input weights (kx, 4, units) followed by recurrent ones (units, 4, units)
    units    how many
    reverse  whether it reads from the last position to the first
    """

    table: np.ndarray
    x: np.ndarray
    kx: int
    weights: np.ndarray
    units: int
    reverse: bool


@part
def _unfinished(steps: np.ndarray, active: int, t: int) -> int:
    """How many of the first `active` rows have a step t, `steps` being sorted, most first."""
    while active > 0 and steps[active - 1] <= t:
        active -= 1
    return active


@part
def _place_rows(table: np.ndarray, z: int, h: int, c: int, wide: int) -> None:
    """Enter where each row keeps z, h and c: addresses of the first row's, `wide` bytes a row."""
    for r in range(len(table[0])):
        table[3, r] = z + 4 * COLUMNS * (r % ROWS)
        table[4, r] = h + r * wide
        table[5, r] = c + r * wide


@part
def _repeat_last(table: np.ndarray, rows: int, end: int) -> None:
    """Fill the last block up with what the last row reads; entry by entry, since a slice costs a
    second to compile: Numba writes a message for the case that the lengths differ."""
    for r in range(rows, end):
        for field in range(3):
            table[field, r] = table[field, rows - 1]


@part
def _end_block(table: np.ndarray, first: int, end: int, unit: int, fold: int) -> None:
    """Compute the gates of some rows, and prefetch the next start; `unit` is in bytes of h."""
    for r in range(first, end):
        lstm_lanes(table[3, r], table[5, r] + unit, table[4, r] + unit)
        if fold:
            prefetch_block(table[6, r] + GATES * unit)


@kernel
def lstm(
    rows: Rows,
    cell: Cell,
    states: np.ndarray,
    table: np.ndarray,
    z: np.ndarray,
    out: np.ndarray,
    column: int,
    out_starts: np.ndarray,
) -> None:
    """Run one direction over a tile whose rows are sorted by `steps`, most first.

    z = start(t) + x(t) W + h(t-1) U;  c(t), h(t) = gates.lstm_lanes(z, c(t-1))

    Rows leave the tile when they end; the last block's product is filled up with its last row.
    A block's gates follow its product at once, while z is in the nearest cache. A folded table is
    larger than the caches, so a block also asks for what it will start from a step later.

    states      float32 (3 * rows, padded(units)), zeros: h of even steps, of odd steps, and c
    table       int64 (7, rows + ROWS): scratch, for each row the addresses of start, x, old h, z,
                new h, c and the next step's start
    z           float32 (ROWS, COLUMNS): scratch
    out         float32, units written from `column` on (and padding after them): the last h to
                out[row], or, with out_starts (rows,), each h to out[out_starts[row] + position].
                A row without steps is not written.
    """
    count, wide = len(rows.steps), 4 * states.shape[1]
    fold = 4 * cell.table.shape[1] if len(cell.table) > 1 else 0
    start, x, weights = cell.table.ctypes.data, cell.x.ctypes.data, cell.weights.ctypes.data
    h, c = states.ctypes.data, states.ctypes.data + 2 * count * wide
    target, target_wide = out.ctypes.data + 4 * column, 4 * out.shape[1]
    block = 4 * COLUMNS * (cell.kx + cell.units)
    _place_rows(table, z.ctypes.data, h + count * wide, c, wide)
    t, active = 0, _unfinished(rows.steps, count, 0)
    while active > 0:
        for r in range(active):
            last = rows.steps[r] - 1
            position = last - t if cell.reverse else t
            at = source(rows, r, position)
            table[0, r] = start + at * fold
            if fold:
                following = max(position - 1, 0) if cell.reverse else position + 1
                table[6, r] = start + source(rows, r, following) * fold
            table[1, r], table[2, r] = x + at * 4 * cell.x.shape[1], table[4, r]
            if out_starts.size:
                table[4, r] = target + (out_starts[r] + position) * target_wide
            elif t == last:
                table[4, r] = target + r * target_wide
            else:
                table[4, r] = h + ((t & 1) * count + r) * wide
        end = -(-active // ROWS) * ROWS
        _repeat_last(table, active, end)
        for j in range(states.shape[1] // LANES):
            w, unit = weights + j * block, 4 * j * LANES
            for r in range(0, end, ROWS):
                here = table.ctypes.data + 8 * r
                product_block(here, table.shape[1], j * COLUMNS, 0, cell.kx, cell.units, w)
                _end_block(table, r, min(r + ROWS, active), unit, fold)
        t += 1
        active = _unfinished(rows.steps, active, t)


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


RELU, SIGMOID, TANH, SOFTMAX = 1, 2, 3, 4


@part
def _softmax(row: np.ndarray, columns: int) -> None:
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


@kernel
def activate(values: np.ndarray, columns: int, kind: int) -> None:
    """Apply RELU, SIGMOID, TANH or SOFTMAX (over `columns`) to float32 (rows, ld) in place."""
    for r in range(len(values)):
        row = values[r]
        if kind == SOFTMAX:
            _softmax(row, columns)
            continue
        for i in range(0, columns, LANES):
            address = row.ctypes.data + 4 * i
            if kind == RELU:
                relu_lanes(address)
            elif kind == SIGMOID:
                sigmoid_lanes(address)
            else:
                tanh_lanes(address)
