"""The compiled loops behind recurrent layers. They allocate nothing and use one core.

All of them run one direction over a tile whose rows are sorted by `steps`, most first. In a step,
each block of rows is multiplied by each block of weights, and the block's gates follow at once,
while the product is in the nearest cache. Rows leave the tile when they end; the last block's
product is filled up with its last row. A folded table is larger than the caches, so a block first
asks for what the next block starts from.

They share their arguments:

    states      float32 (buffers * rows + 1, padded(units)): h of even steps and of odd ones, each
                of `rows` rows, and what else the cell keeps; a row begins with the h of its odd
                ones. The last row is scratch
    table       int64 (FIELDS, rows + a block's): scratch, for each row the addresses of
                0 start, 1 x, 2 old h, 3 z, 4 new h, 5 its third buffer, 6 whatever a loop needs
    z           float32 (a block's rows, COLUMNS): scratch
    out         float32, units written from `column` on (and padding after them): the last h to
                out[row], or, with out_starts (rows,), each h to out[out_starts[row] + position].
                A row without steps is not written.

The loops here are fused: they compute tanh and sigmoid in one pass, from weights that are scaled
for exp2. Those of unfused.py apply any activation to whole vectors.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from scorer.compiling.kernel import kernel, part
from scorer.engines.cpu.loops.gates import gru_lanes, lstm_block
from scorer.engines.cpu.loops.rows import Rows, source
from scorer.engines.cpu.loops.simd import gru_block, prefetch_gru_starts, prefetch_starts
from scorer.engines.cpu.loops.vectors import COLUMNS, GRU_ROWS, LANES, ROWS

FIELDS = 7
VECTOR = 4 * LANES  # bytes


class Cell(NamedTuple):
    """One direction of a recurrent layer.

    table       float32 (n, columns): what z starts from, in the order of the blocks. A row for each
                id where embedding and input weights are folded into it, else one: the bias
    x           float32 (positions or vocabulary, ld): the input, of which kx columns are multiplied
    kx          columns of x; 0 when folded
    weights     packed input weights (kx, columns) followed by recurrent ones (units, columns)
    bias        float32 (padded(units),), what a GRU adds to h U before it resets; else empty
    units       how many
    reverse     whether it reads from the last position to the first
    activation, gate   the kinds that `apply_lanes` knows; a fused loop reads neither
    """

    table: np.ndarray
    x: np.ndarray
    kx: int
    weights: np.ndarray
    bias: np.ndarray
    units: int
    reverse: bool
    activation: int
    gate: int


@part
def unfinished(steps: np.ndarray, active: int, t: int) -> int:
    """How many of the first `active` rows have a step t, `steps` being sorted, most first."""
    while active > 0 and steps[active - 1] <= t:
        active -= 1
    return active


@part
def folded(cell: Cell) -> int:
    """Bytes between an id's start and the next one's; 0 where all rows start from the bias."""
    return 4 * cell.table.shape[1] if len(cell.table) > 1 else 0


@part
def begin(states: np.ndarray, table: np.ndarray, z: np.ndarray, count: int) -> None:
    """The addresses that stay, and the h that a row begins with."""
    wide = 4 * states.shape[1]
    for r in range(table.shape[1]):
        table[3, r] = z.ctypes.data + 4 * COLUMNS * (r % len(z))
        table[4, r] = states.ctypes.data + (count + r) * wide
        table[5, r] = states.ctypes.data + (2 * count + r) * wide


@part
def begins_at_zero(states: np.ndarray, count: int) -> bool:
    """Whether each row begins with an h of zeros, as it does where nothing came before: the first
    step's product with the recurrent weights is then zero, and left out."""
    for r in range(count, 2 * count):
        for unit in range(states.shape[1]):
            if states[r, unit] != 0:
                return False
    return True


@part
def address(
    rows: Rows,
    cell: Cell,
    states: np.ndarray,
    table: np.ndarray,
    out: np.ndarray,
    column: int,
    out_starts: np.ndarray,
    active: int,
    t: int,
) -> None:
    """Find what the first `active` rows read and write in step t."""
    count, wide, fold = len(rows.steps), 4 * states.shape[1], folded(cell)
    start, x, h = cell.table.ctypes.data, cell.x.ctypes.data, states.ctypes.data
    target, target_wide = out.ctypes.data + 4 * column, 4 * out.shape[1]
    for r in range(active):
        last = rows.steps[r] - 1
        position = last - t if cell.reverse else t
        at = source(rows, r, position)
        table[0, r] = start + at * fold
        table[1, r] = x + at * 4 * cell.x.shape[1]
        table[2, r] = table[4, r]
        if out_starts.size:
            table[4, r] = target + (out_starts[r] + position) * target_wide
        elif t == last:
            table[4, r] = target + r * target_wide
        else:
            table[4, r] = h + ((t & 1) * count + r) * wide


@part
def repeat_last(table: np.ndarray, rows: int, end: int) -> None:
    """Fill the last block up with what the last row reads; entry by entry, since a slice costs a
    second to compile: Numba writes a message for the case that the lengths differ."""
    for r in range(rows, end):
        for field in range(3):
            table[field, r] = table[field, rows - 1]


@part
def next_block(
    first: int, r: int, rows: int, end: int, column: int, columns: int
) -> tuple[int, int]:
    """The table and the first column of the block after the one whose rows begin with r."""
    return (first + 8 * (r + rows), column) if r + rows < end else (first, column + columns)


@part
def _discard(table: np.ndarray, states: np.ndarray, rows: int, end: int) -> None:
    """Let the rows that fill the last block up write to the last row of `states`."""
    for r in range(rows, end):
        table[4, r] = table[5, r] = states.ctypes.data + 4 * (len(states) - 1) * states.shape[1]


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
    """Fused. z = start(t) + x(t) W + h(t-1) U;  c(t), h(t) = gates.lstm_block of z and c(t-1)

    The third buffer is c; z is not written.
    """
    count, first = len(rows.steps), table.ctypes.data
    block = 4 * COLUMNS * (cell.kx + cell.units)
    begin(states, table, z, count)
    recurrent = 0 if begins_at_zero(states, count) else cell.units
    t, active = 0, unfinished(rows.steps, count, 0)
    while active > 0:
        address(rows, cell, states, table, out, column, out_starts, active, t)
        end = -(-active // ROWS) * ROWS
        repeat_last(table, active, end)
        _discard(table, states, active, end)
        for j in range(states.shape[1] // LANES):
            weights = cell.weights.ctypes.data + j * block
            for r in range(0, end, ROWS):
                prefetch_starts(*next_block(first, r, ROWS, end, j * COLUMNS, COLUMNS))
                here = first + 8 * r
                lstm_block(here, table.shape[1], j * LANES, cell.kx, recurrent, weights)
        t, recurrent = t + 1, cell.units
        active = unfinished(rows.steps, active, t)


@part
def _end_gru(table: np.ndarray, bias: int, first: int, end: int, unit: int) -> None:
    """Compute the gates of some rows. `unit` is in bytes; `bias`, the address of the units' own."""
    for r in range(first, end):
        gru_lanes(table[3, r], bias, table[2, r] + unit, table[4, r] + unit)


@kernel
def gru(
    rows: Rows,
    cell: Cell,
    states: np.ndarray,
    table: np.ndarray,
    z: np.ndarray,
    out: np.ndarray,
    column: int,
    out_starts: np.ndarray,
) -> None:
    """Fused, resetting after the product: z = simd.gru_block;  h(t) = gates.gru_lanes(z, h(t-1))"""
    count, first = len(rows.steps), table.ctypes.data
    block = 3 * VECTOR * (cell.kx + cell.units)
    begin(states, table, z, count)
    recurrent = 0 if begins_at_zero(states, count) else cell.units
    t, active = 0, unfinished(rows.steps, count, 0)
    while active > 0:
        address(rows, cell, states, table, out, column, out_starts, active, t)
        end = -(-active // GRU_ROWS) * GRU_ROWS
        repeat_last(table, active, end)
        for j in range(states.shape[1] // LANES):
            weights, bias = cell.weights.ctypes.data + j * block, cell.bias.ctypes.data + j * VECTOR
            for r in range(0, end, GRU_ROWS):
                here, start = first + 8 * r, 3 * j * LANES
                prefetch_gru_starts(*next_block(first, r, GRU_ROWS, end, start, 3 * LANES))
                gru_block(here, table.shape[1], start, cell.kx, recurrent, weights)
                _end_gru(table, bias, r, min(r + GRU_ROWS, active), j * VECTOR)
        t, recurrent = t + 1, cell.units
        active = unfinished(rows.steps, active, t)
