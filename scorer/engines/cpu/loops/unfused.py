"""Loops of recurrent layers that apply any activation, vector by vector; see recurrence.py."""

from __future__ import annotations

import numpy as np

from scorer.compiling.kernel import kernel, part
from scorer.engines.cpu.loops.gates import (
    blend_lanes,
    cell_lanes,
    copy_lanes,
    hidden_lanes,
    reset_after_lanes,
    reset_before_lanes,
)
from scorer.engines.cpu.loops.kernels import apply_lanes
from scorer.engines.cpu.loops.recurrence import (
    VECTOR,
    Cell,
    address,
    begin,
    next_block,
    repeat_last,
    unfinished,
)
from scorer.engines.cpu.loops.rows import Rows
from scorer.engines.cpu.loops.simd import gru_block, prefetch_starts, product_block
from scorer.engines.cpu.loops.vectors import COLUMNS, GATES, GRU_ROWS, LANES, ROWS


@part
def _end_lstm(cell: Cell, table: np.ndarray, first: int, end: int, unit: int) -> None:
    for r in range(first, end):
        z = table[3, r]
        apply_lanes(z, cell.gate)
        apply_lanes(z + VECTOR, cell.gate)
        apply_lanes(z + 2 * VECTOR, cell.activation)
        apply_lanes(z + 3 * VECTOR, cell.gate)
        cell_lanes(z, table[5, r] + unit)
        apply_lanes(z, cell.activation)
        hidden_lanes(z, table[4, r] + unit)


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
    """LSTM of any activations; its weights are not scaled. The third buffer is c."""
    count, block = len(rows.steps), 4 * COLUMNS * (cell.kx + cell.units)
    begin(states, table, z, count)
    t, active = 0, unfinished(rows.steps, count, 0)
    while active > 0:
        address(rows, cell, states, table, out, column, out_starts, active, t)
        end = -(-active // ROWS) * ROWS
        repeat_last(table, active, end)
        for j in range(states.shape[1] // LANES):
            weights = cell.weights.ctypes.data + j * block
            for r in range(0, end, ROWS):
                here = table.ctypes.data + 8 * r
                product_block(here, table.shape[1], j * COLUMNS, 0, cell.kx, cell.units, weights)
                _end_lstm(cell, table, r, min(r + ROWS, active), j * VECTOR)
        t += 1
        active = unfinished(rows.steps, active, t)


@part
def _end_gru(cell: Cell, table: np.ndarray, bias: int, first: int, end: int, unit: int) -> None:
    for r in range(first, end):
        z = table[3, r]
        apply_lanes(z, cell.gate)
        apply_lanes(z + VECTOR, cell.gate)
        reset_after_lanes(z, bias)
        apply_lanes(z + 2 * VECTOR, cell.activation)
        blend_lanes(z, z + 2 * VECTOR, table[2, r] + unit, table[4, r] + unit)


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
    """GRU of any activations that resets after the product; its weights are not scaled."""
    count, block = len(rows.steps), 3 * VECTOR * (cell.kx + cell.units)
    begin(states, table, z, count)
    t, active = 0, unfinished(rows.steps, count, 0)
    while active > 0:
        address(rows, cell, states, table, out, column, out_starts, active, t)
        end = -(-active // GRU_ROWS) * GRU_ROWS
        repeat_last(table, active, end)
        for j in range(states.shape[1] // LANES):
            weights, bias = cell.weights.ctypes.data + j * block, cell.bias.ctypes.data + j * VECTOR
            for r in range(0, end, GRU_ROWS):
                here = table.ctypes.data + 8 * r
                gru_block(here, table.shape[1], 3 * j * LANES, cell.kx, cell.units, weights)
                _end_gru(cell, table, bias, r, min(r + GRU_ROWS, active), j * VECTOR)
        t += 1
        active = unfinished(rows.steps, active, t)


@part
def _end_reset(
    cell: Cell, table: np.ndarray, first: int, end: int, unit: int, wide: int, reset: int
) -> None:
    """Keep the update gates of up to two vectors of units, and make r h of h."""
    for r in range(first, end):
        for pair in range(min(2, (wide - unit) // VECTOR)):
            z, at = table[3, r] + 2 * pair * VECTOR, unit + pair * VECTOR
            apply_lanes(z, cell.gate)
            apply_lanes(z + VECTOR, cell.gate)
            reset_before_lanes(z, table[2, r] + at, table[5, r] + at, table[5, r] + reset + at)


@part
def _end_blend(cell: Cell, table: np.ndarray, first: int, end: int, unit: int, wide: int) -> None:
    """The new h of up to four vectors of units."""
    for r in range(first, end):
        for v in range(min(GATES, (wide - unit) // VECTOR)):
            z, at = table[3, r] + v * VECTOR, unit + v * VECTOR
            apply_lanes(z, cell.activation)
            blend_lanes(table[5, r] + at, z, table[6, r] + at, table[4, r] + at)


@kernel
def gru_before(
    rows: Rows,
    cell: Cell,
    states: np.ndarray,
    table: np.ndarray,
    z: np.ndarray,
    out: np.ndarray,
    column: int,
    out_starts: np.ndarray,
) -> None:
    """A GRU that resets before the product: all units' gates first, then x W + (r h) U.

    Blocks of weights: (update, reset) of two vectors of units each, then four vectors of units.
    The third buffer holds the update gates, the fourth r h.
    """
    count, wide = len(rows.steps), 4 * states.shape[1]
    block, pairs = 4 * COLUMNS * (cell.kx + cell.units), -(-wide // (2 * VECTOR))
    begin(states, table, z, count)
    t, active = 0, unfinished(rows.steps, count, 0)
    while active > 0:
        address(rows, cell, states, table, out, column, out_starts, active, t)
        end = -(-active // ROWS) * ROWS
        repeat_last(table, active, end)
        for j in range(pairs + -(-wide // (4 * VECTOR))):
            weights, k = cell.weights.ctypes.data + j * block, j - pairs
            if k == 0:
                for r in range(end):
                    table[6, r] = table[2, r]
                    table[2, r] = table[5, min(r, active - 1)] + count * wide
            for r in range(0, end, ROWS):
                here, last = table.ctypes.data + 8 * r, min(r + ROWS, active)
                product_block(here, table.shape[1], j * COLUMNS, 0, cell.kx, cell.units, weights)
                if k < 0:
                    _end_reset(cell, table, r, last, 2 * j * VECTOR, wide, count * wide)
                else:
                    _end_blend(cell, table, r, last, 4 * k * VECTOR, wide)
        t += 1
        active = unfinished(rows.steps, active, t)


@part
def _end_simple(cell: Cell, table: np.ndarray, first: int, end: int, unit: int, wide: int) -> None:
    """Four vectors of units, or as many as are left."""
    for r in range(first, end):
        for v in range(min(GATES, (wide - unit) // VECTOR)):
            z = table[3, r] + v * VECTOR
            apply_lanes(z, cell.activation)
            copy_lanes(z, table[4, r] + unit + v * VECTOR)


@kernel
def simple(
    rows: Rows,
    cell: Cell,
    states: np.ndarray,
    table: np.ndarray,
    z: np.ndarray,
    out: np.ndarray,
    column: int,
    out_starts: np.ndarray,
) -> None:
    """SimpleRNN: h(t) = activation(start(t) + x(t) W + h(t-1) U)"""
    count, wide, first = len(rows.steps), 4 * states.shape[1], table.ctypes.data
    block = 4 * COLUMNS * (cell.kx + cell.units)
    begin(states, table, z, count)
    t, active = 0, unfinished(rows.steps, count, 0)
    while active > 0:
        address(rows, cell, states, table, out, column, out_starts, active, t)
        end = -(-active // ROWS) * ROWS
        repeat_last(table, active, end)
        for j in range(-(-wide // (4 * VECTOR))):
            weights = cell.weights.ctypes.data + j * block
            for r in range(0, end, ROWS):
                prefetch_starts(*next_block(first, r, ROWS, end, j * COLUMNS, COLUMNS))
                here = first + 8 * r
                product_block(here, table.shape[1], j * COLUMNS, 0, cell.kx, cell.units, weights)
                _end_simple(cell, table, r, min(r + ROWS, active), 4 * j * VECTOR, wide)
        t += 1
        active = unfinished(rows.steps, active, t)
