"""The compiled loops along positions: look-up, Conv1D, pooling, and bags of words.

Rows are copied number by number: assigning a slice would double the time that compiling takes.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from scorer.compiling.kernel import kernel, part
from scorer.engines.cpu.loops.kernels import multiply_blocks
from scorer.engines.cpu.loops.rows import Rows, source
from scorer.engines.cpu.loops.simd import add_lanes, max_lanes, prefetch_block, sum_lanes
from scorer.engines.cpu.loops.vectors import COLUMNS, LANES


@kernel
def look_up(
    rows: Rows,
    matrix: np.ndarray,
    out: np.ndarray,
    out_starts: np.ndarray,
) -> None:
    """out[out_starts[r] + position] = matrix[id], for `rows.steps` positions of each row.

    matrix float32 (ids, width); out float32 (positions, ld).
    """
    width = matrix.shape[1]
    for r in range(len(rows.steps)):
        for position in range(rows.steps[r]):
            values, place = matrix[source(rows, r, position)], out_starts[r] + position
            for i in range(width):
                out[place, i] = values[i]


@part
def _add(target: int, terms: int, columns: int) -> None:
    """Add the whole vectors at one address to those at another."""
    for i in range(0, 4 * columns, 4 * LANES):
        add_lanes(target + i, terms + i)


class Window(NamedTuple):
    """Conv1D's way over `length` positions, with `left` zeros before them, to `positions`."""

    taps: int
    stride: int
    dilation: int
    left: int
    length: int
    positions: int


@part
def _tap(window: Window, position: int, tap: int) -> int:
    """The position that a tap reads for an output position; -1 for a zero."""
    at = position * window.stride - window.left + tap * window.dilation
    return at if 0 <= at < window.length else -1


@part
def _terms(
    rows: Rows, window: Window, row: int, t: int, table: np.ndarray, wide: int, terms: np.ndarray
) -> int:
    """Write the addresses of what output position t sums up; how many there are."""
    count = 0
    for tap in range(window.taps):
        at = _tap(window, t, tap)
        if at >= 0:
            place = source(rows, row, at) * table.shape[1] + tap * wide
            terms[count] = table.ctypes.data + 4 * place
            count += 1
    return count


@kernel
def convolve_tokens(
    rows: Rows,
    window: Window,
    table: np.ndarray,
    bias: np.ndarray,
    terms: np.ndarray,
    out: np.ndarray,
    out_starts: np.ndarray,
) -> None:
    """out(t) = bias + sum over taps of table[id(t + tap), tap]: embedding and kernel are folded.

    rows.steps counts output positions. table float32 (ids, >= taps * wide) with wide = len(bias);
    terms int64 (taps,): scratch for addresses; out float32 (positions, wide).
    """
    wide = len(bias)
    for r in range(len(rows.steps)):
        for t in range(rows.steps[r]):
            count = _terms(rows, window, r, t, table, wide, terms)
            target = out.ctypes.data + 4 * (out_starts[r] + t) * wide
            for i in range(0, 4 * wide, 4 * LANES):
                sum_lanes(target + i, bias.ctypes.data + i, terms.ctypes.data, count, i)


@kernel
def convolve_tokens_max(
    rows: Rows,
    window: Window,
    table: np.ndarray,
    bias: np.ndarray,
    terms: np.ndarray,
    values: np.ndarray,
    out: np.ndarray,
) -> None:
    """out[r] = greatest of each column over the positions that convolve_tokens would write.

    The table is larger than the caches, so a position also asks for what the next one sums up.

    terms int64 (2, taps): scratch for addresses, of this position and of the next; values float32
    (1, wide): scratch; out float32 (rows, wide). The rest as in convolve_tokens.
    """
    wide = len(bias)
    for r in range(len(rows.steps)):
        target = out.ctypes.data + 4 * r * wide
        count = _terms(rows, window, r, 0, table, wide, terms[0])
        for t in range(rows.steps[r]):
            now, following = terms[t & 1], terms[(t + 1) & 1]
            ahead = 0
            if t + 1 < rows.steps[r]:
                ahead = _terms(rows, window, r, t + 1, table, wide, following)
            for k in range(ahead):
                for i in range(0, 4 * wide, 4 * COLUMNS):
                    prefetch_block(following[k] + i)
            here = values.ctypes.data if t else target
            for i in range(0, 4 * wide, 4 * LANES):
                sum_lanes(here + i, bias.ctypes.data + i, now.ctypes.data, count, i)
                if t:
                    max_lanes(target + i, here + i)
            count = ahead


@kernel
def convolve(
    rows: Rows,
    window: Window,
    x: np.ndarray,
    weights: np.ndarray,
    bias: np.ndarray,
    table: np.ndarray,
    out: np.ndarray,
    out_starts: np.ndarray,
) -> None:
    """out(t) = bias + sum over taps of x(t + tap) W[tap].

    rows.steps counts output positions. x float32 (positions + 1, ld), its last row zeros;
    weights packed (taps, blocks, k, 4, LANES); bias and out as in kernels.affine; table int64
    (4, output positions + ROWS).
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
                table[1, place] = x.ctypes.data + source(rows, r, at) * wide if at >= 0 else zeros
                table[2, place] = table[1, place]
                table[3, place] = target
        multiply_blocks(table, weights.shape[2], weights[tap], out)


@kernel
def pool_max(rows: Rows, x: np.ndarray, out: np.ndarray) -> None:
    """out[r] = greatest of each column over the row's stored positions; zeros over none.

    x float32 (positions, ld); out float32 (rows, at most ld).
    """
    wide = out.shape[1]
    for r in range(len(rows.stored)):
        target = out.ctypes.data + 4 * r * wide
        first = rows.starts[r]
        for i in range(wide):
            out[r, i] = x[first, i] if rows.stored[r] else np.float32(0)
        for position in range(first + 1, first + rows.stored[r]):
            values = x.ctypes.data + 4 * position * x.shape[1]
            for i in range(0, 4 * wide, 4 * LANES):
                max_lanes(target + i, values + i)


@kernel
def pool_mean(rows: Rows, x: np.ndarray, out: np.ndarray) -> None:
    """out[r] = mean of each column over `rows.steps` positions; sizes as in pool_max.

    Not a number over none, as in Keras. Positions past the stored ones equal the last, so they are
    counted, not visited.
    """
    wide = out.shape[1]
    for r in range(len(rows.steps)):
        row, first, steps = out[r], rows.starts[r], rows.steps[r]
        if steps == 0:
            for i in range(wide):
                row[i] = np.nan
            continue
        last = first + min(steps, rows.stored[r]) - 1
        for i in range(wide):
            row[i] = x[last, i] * np.float32(steps - (last - first))
        for position in range(first, last):
            _add(row.ctypes.data, x.ctypes.data + 4 * position * x.shape[1], wide)
        for i in range(wide):
            row[i] /= np.float32(steps)


@kernel
def bag_lengths(
    rows: Rows,
    scale: np.ndarray,
    distinct: bool,
    counts: np.ndarray,
    lengths: np.ndarray,
) -> None:
    """lengths[r] = Euclidean length of the row's bag of words; 1 for a bag of zeros.

    scale float32 (columns,): what a word counts once; distinct: however often it comes; counts
    int32 (columns,), all 0 before and after: scratch; lengths float64 (rows,).
    """
    for r in range(len(rows.stored)):
        first, square = rows.starts[r], 0.0
        for place in range(first, first + rows.stored[r]):
            column = rows.ids[place] - 1
            before = counts[column]
            counts[column] += 1
            if not distinct or before == 0:  # (n + 1)^2 - n^2
                square += (2 * before + 1) * np.float64(scale[column]) * scale[column]
        for place in range(first, first + rows.stored[r]):
            counts[rows.ids[place] - 1] = 0
        lengths[r] = np.sqrt(square) if square > 0 else 1.0


@kernel
def sum_rows(
    rows: Rows,
    weights: np.ndarray,
    bias: np.ndarray,
    lengths: np.ndarray,
    seen: np.ndarray,
    total: np.ndarray,
    out: np.ndarray,
) -> None:
    """out[r] = bias + sum over the row's tokens of weights[id - 1], divided by lengths[r]: a bag
    of words times a matrix.

    weights float32 (columns, n); bias float32 (n,); lengths float64 (rows,); seen int32
    (columns,), all -1, counts a word once a row, or (0,), counts it as often as it comes; total
    float64 (n,): scratch.
    """
    for r in range(len(rows.stored)):
        for i in range(len(total)):
            total[i] = 0
        for position in range(rows.stored[r]):
            column = rows.ids[rows.starts[r] + position] - 1
            if seen.size:
                if seen[column] == r:
                    continue
                seen[column] = r
            for i in range(len(total)):
                total[i] += weights[column, i]
        for i in range(len(total)):
            out[r, i] = bias[i] + total[i] / lengths[r]
