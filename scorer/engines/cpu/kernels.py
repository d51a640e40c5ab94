"""The compiled loops of the cpu engine. They release the GIL, allocate nothing and use one core.

Float arrays that a kernel writes have rows of whole vectors: a leading dimension `ld` of at least
`padded(columns)`, in which the columns beyond the layer's own hold no meaning.

A kernel's last argument is never passed: it makes Numba's cache depend on simd.py.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numba import njit

from scorer.engines.cpu.simd import (
    BUILD,
    COLUMNS,
    LANES,
    ROWS,
    add_lanes,
    affine_block,
    exp_lanes,
    lstm_block,
    max_lanes,
    relu_lanes,
    sigmoid_lanes,
    tanh_lanes,
)


def _kernel(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile for calls from Python: without the GIL, cached on disk."""
    compiled: Callable[..., Any] = njit(nogil=True, cache=True)(function)
    return compiled


def _part(function: Callable[..., Any]) -> Callable[..., Any]:
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


@_part
def _source(rows: Rows, row: int, position: int) -> int:
    """The token id, or the place in the sequence, that a row has at a position.

    Tokens end in padding, id 0. The positions of a sequence past the stored ones equal the last.
    """
    if rows.tokens and position >= rows.stored[row]:
        return 0
    place = rows.starts[row] + min(position, rows.stored[row] - 1)
    return int(rows.ids[place]) if rows.tokens else place


@_part
def _unfinished(steps: np.ndarray, active: int, t: int) -> int:
    """How many of the first `active` rows have a step t, `steps` being sorted, most first."""
    while active > 0 and steps[active - 1] <= t:
        active -= 1
    return active


@_kernel
def lstm(
    rows: Rows,
    cell: Cell,
    states: np.ndarray,
    table: np.ndarray,
    out: np.ndarray,
    column: int,
    out_starts: np.ndarray,
    _build: int = BUILD,
) -> None:
    """Run one direction over a tile whose rows are sorted by `steps`, most first.

    h(t) = LSTM(x(t), h(t-1)) as in simd.lstm_block. Rows leave the tile when they end; the last
    block is filled up with its last row again, whose results then go to a row that nobody reads.

    states      float32 (3 * rows + 1, padded(units)), zeros: h of even steps, of odd steps, c,
                and that row
    table       int64 (5, rows + ROWS): scratch for addresses
    out         float32, units written from `column` on (and padding after them): the last h to
                out[row], or, with out_starts (rows,), each h to out[out_starts[row] + position].
                A row without steps is not written.
    """
    count, wide = len(rows.steps), 4 * states.shape[1]
    fold = 4 * cell.table.shape[1] if len(cell.table) > 1 else 0
    start, x, weights = cell.table.ctypes.data, cell.x.ctypes.data, cell.weights.ctypes.data
    h, c = states.ctypes.data, states.ctypes.data + 2 * count * wide
    nowhere = c + count * wide
    target, target_wide = out.ctypes.data + 4 * column, 4 * out.shape[1]
    block = 4 * COLUMNS * (cell.kx + cell.units)
    for r in range(count):
        table[3, r] = h + (count + r) * wide
        table[4, r] = c + r * wide
    t, active = 0, _unfinished(rows.steps, count, 0)
    while active > 0:
        for r in range(active):
            last = rows.steps[r] - 1
            position = last - t if cell.reverse else t
            source = _source(rows, r, position)
            table[0, r] = start + source * fold
            table[1, r] = x + source * 4 * cell.x.shape[1]
            table[2, r] = table[3, r]
            if out_starts.size:
                table[3, r] = target + (out_starts[r] + position) * target_wide
            elif t == last:
                table[3, r] = target + r * target_wide
            else:
                table[3, r] = h + ((t & 1) * count + r) * wide
        end = -(-active // ROWS) * ROWS
        for r in range(active, end):
            table[:3, r] = table[:3, active - 1]
            table[3:, r] = nowhere
        for j in range(states.shape[1] // LANES):
            w = weights + j * block
            for r in range(0, end, ROWS):
                at = table.ctypes.data + 8 * r
                lstm_block(at, table.shape[1], j * LANES, cell.kx, cell.units, w)
        t += 1
        active = _unfinished(rows.steps, active, t)


@_part
def _affine_blocks(table: np.ndarray, k: int, weights: np.ndarray, columns: int) -> None:
    """affine_block over the rows of `table`, int64 (3, rows + ROWS), filled up with the last."""
    rows = table.shape[1] - ROWS
    for r in range(rows, rows + ROWS):
        table[:, r] = table[:, rows - 1]
    for column in range(0, columns, COLUMNS):
        w = weights.ctypes.data + 4 * k * column
        for r in range(0, rows, ROWS):
            affine_block(table.ctypes.data + 8 * r, table.shape[1], column, k, w)


@_kernel
def affine(
    x: np.ndarray,
    k: int,
    weights: np.ndarray,
    bias: np.ndarray,
    table: np.ndarray,
    out: np.ndarray,
    _build: int = BUILD,
) -> None:
    """out = x W + bias, row by row.

    x        float32 (rows, ld), k columns of it
    weights  packed (blocks, k, 4, LANES)
    bias     float32 (blocks * COLUMNS,)
    table    int64 (3, rows + ROWS): scratch for addresses
    out      float32 (rows, blocks * COLUMNS)
    """
    for r in range(len(x)):
        table[0, r] = bias.ctypes.data
        table[1, r] = x.ctypes.data + r * 4 * x.shape[1]
        table[2, r] = out.ctypes.data + r * 4 * out.shape[1]
    _affine_blocks(table, k, weights, out.shape[1])


RELU, SIGMOID, TANH, SOFTMAX = 1, 2, 3, 4


@_part
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


@_kernel
def activate(values: np.ndarray, columns: int, kind: int, _build: int = BUILD) -> None:
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


@_kernel
def look_up(rows: Rows, matrix: np.ndarray, out: np.ndarray, out_starts: np.ndarray) -> None:
    """out[out_starts[r] + position] = matrix[id], for `rows.steps` positions of each row.

    matrix float32 (ids, width); out float32 (positions, ld).
    """
    width = matrix.shape[1]
    for r in range(len(rows.steps)):
        for position in range(rows.steps[r]):
            out[out_starts[r] + position, :width] = matrix[_source(rows, r, position)]


@_part
def _add(target: int, source: int, columns: int) -> None:
    """Add whole vectors at one address to those at another."""
    for i in range(0, 4 * columns, 4 * LANES):
        add_lanes(target + i, source + i)


class Window(NamedTuple):
    """Conv1D's way over `length` positions, with `left` zeros before them, to `positions`."""

    taps: int
    stride: int
    dilation: int
    left: int
    length: int
    positions: int


@_part
def _tap(window: Window, position: int, tap: int) -> int:
    """The position that a tap reads for an output position; -1 for a zero."""
    at = position * window.stride - window.left + tap * window.dilation
    return at if 0 <= at < window.length else -1


@_kernel
def convolve_tokens(
    rows: Rows,
    window: Window,
    table: np.ndarray,
    bias: np.ndarray,
    out: np.ndarray,
    out_starts: np.ndarray,
    _build: int = BUILD,
) -> None:
    """out(t) = bias + sum over taps of table[id(t + tap), tap]: embedding and kernel are folded.

    rows.steps counts output positions. table float32 (ids, >= taps * wide) with wide = len(bias);
    out float32 (positions, wide).
    """
    wide = len(bias)
    for r in range(len(rows.steps)):
        for t in range(rows.steps[r]):
            row = out[out_starts[r] + t]
            row[:] = bias
            for tap in range(window.taps):
                at = _tap(window, t, tap)
                if at >= 0:
                    source = _source(rows, r, at) * table.shape[1] + tap * wide
                    _add(row.ctypes.data, table.ctypes.data + 4 * source, wide)


@_kernel
def convolve(
    rows: Rows,
    window: Window,
    x: np.ndarray,
    weights: np.ndarray,
    bias: np.ndarray,
    table: np.ndarray,
    out: np.ndarray,
    out_starts: np.ndarray,
    _build: int = BUILD,
) -> None:
    """out(t) = bias + sum over taps of x(t + tap) W[tap].

    rows.steps counts output positions. x float32 (positions + 1, ld), its last row zeros;
    weights packed (taps, blocks, k, 4, LANES); bias and out as in `affine`; table int64
    (3, output positions + ROWS).
    """
    wide = 4 * x.shape[1]
    zeros = x.ctypes.data + (len(x) - 1) * wide
    for tap in range(window.taps):
        for r in range(len(rows.steps)):
            for t in range(rows.steps[r]):
                place = out_starts[r] + t
                target = out.ctypes.data + place * 4 * out.shape[1]
                at = _tap(window, t, tap)
                table[0, place] = target if tap else bias.ctypes.data
                table[1, place] = x.ctypes.data + _source(rows, r, at) * wide if at >= 0 else zeros
                table[2, place] = target
        _affine_blocks(table, weights.shape[2], weights[tap], out.shape[1])


@_kernel
def pool_max(rows: Rows, x: np.ndarray, out: np.ndarray, _build: int = BUILD) -> None:
    """out[r] = greatest of each column over the row's stored positions; zeros over none.

    x float32 (positions, ld); out float32 (rows, at most ld).
    """
    wide = out.shape[1]
    for r in range(len(rows.stored)):
        target = out[r].ctypes.data
        first = rows.starts[r]
        out[r] = 0
        if rows.stored[r]:
            out[r] = x[first, :wide]
        for position in range(first + 1, first + rows.stored[r]):
            source = x.ctypes.data + 4 * position * x.shape[1]
            for i in range(0, 4 * wide, 4 * LANES):
                max_lanes(target + i, source + i)


@_kernel
def pool_mean(rows: Rows, x: np.ndarray, out: np.ndarray, _build: int = BUILD) -> None:
    """out[r] = mean of each column over `rows.steps` positions; sizes as in pool_max.

    Not a number over none, as in Keras. Positions past the stored ones equal the last, so they are
    counted, not visited.
    """
    wide = out.shape[1]
    for r in range(len(rows.steps)):
        row, first, steps = out[r], rows.starts[r], rows.steps[r]
        if steps == 0:
            row[:] = np.nan
            continue
        last = first + min(steps, rows.stored[r]) - 1
        for i in range(wide):
            row[i] = x[last, i] * np.float32(steps - (last - first))
        for position in range(first, last):
            _add(row.ctypes.data, x.ctypes.data + 4 * position * x.shape[1], wide)
        for i in range(wide):
            row[i] /= np.float32(steps)


@_kernel
def sum_rows(
    rows: Rows,
    weights: np.ndarray,
    bias: np.ndarray,
    seen: np.ndarray,
    total: np.ndarray,
    out: np.ndarray,
) -> None:
    """out[r] = bias + sum over the row's tokens of weights[id - 1]: a bag of words times a matrix.

    weights float32 (columns, n); bias float32 (n,); seen int64 (columns,), all -1, counts a word
    once a row, or (0,), counts it as often as it comes; total float64 (n,): scratch.
    """
    for r in range(len(rows.stored)):
        total[:] = bias
        for position in range(rows.stored[r]):
            column = rows.ids[rows.starts[r] + position] - 1
            if seen.size:
                if seen[column] == r:
                    continue
                seen[column] = r
            for i in range(len(total)):
                total[i] += weights[column, i]
        for i in range(len(total)):
            out[r, i] = total[i]
