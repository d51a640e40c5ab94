"""Compiled loops of the layers beyond the fast paths: norms, pooling windows, attention, bags.

Sums are taken in one order, over a row's own numbers, so neighbours change no bit.
"""

from __future__ import annotations

import math

import numpy as np

from scorer.compiling.kernel import kernel
from scorer.engines.cpu.loops.kernels import softmax_row
from scorer.engines.cpu.loops.rows import Rows, source
from scorer.engines.cpu.loops.simd import tanh_lanes
from scorer.engines.cpu.loops.vectors import LANES


@kernel
def gelu(values: np.ndarray) -> None:
    """x = x / 2 (1 + erf(x / sqrt 2)), float32 (n,), in place."""
    for i in range(len(values)):
        x = np.float64(values[i])
        values[i] = 0.5 * x * (1.0 + math.erf(x * 0.7071067811865476))


@kernel
def layer_norm(
    values: np.ndarray,
    columns: int,
    epsilon: float,
    centered: bool,
    gamma: np.ndarray,
    beta: np.ndarray,
) -> None:
    """(x - mean) / sqrt(variance + epsilon) * gamma + beta over `columns` of each row, in place.

    Not `centered`: x / sqrt(mean of x squared + epsilon). values float32 (rows, ld); gamma and beta
    float32 (columns,).
    """
    for r in range(len(values)):
        row, mean, square = values[r], 0.0, 0.0
        if centered:
            for i in range(columns):
                mean += row[i]
            mean /= columns
        for i in range(columns):
            square += (row[i] - mean) * (row[i] - mean)
        scale = 1.0 / np.sqrt(square / columns + epsilon)
        for i in range(columns):
            row[i] = (row[i] - mean) * scale * gamma[i] + beta[i]


@kernel
def pool_windows(
    rows: Rows,
    taps: int,
    stride: int,
    left: int,
    length: int,
    mean: bool,
    x: np.ndarray,
    out: np.ndarray,
    out_starts: np.ndarray,
) -> None:
    """out(t) = greatest, or mean, of each column over the window's positions that are there.

    The window of t begins at position t * stride - left of `length`; rows.steps counts windows.
    x and out float32 (positions, ld).
    """
    for r in range(len(rows.steps)):
        for t in range(rows.steps[r]):
            first = max(t * stride - left, 0)
            end = min(t * stride - left + taps, length)
            target, at = out[out_starts[r] + t], source(rows, r, first)
            for i in range(len(target)):
                target[i] = x[at, i]
            for position in range(first + 1, end):
                at = source(rows, r, position)
                for i in range(len(target)):
                    if mean:
                        target[i] += x[at, i]
                    else:
                        target[i] = max(target[i], x[at, i])
            if mean:
                for i in range(len(target)):
                    target[i] /= np.float32(end - first)


@kernel
def products(a: np.ndarray, b: np.ndarray, out: np.ndarray) -> None:
    """out[n] = a[n] @ b[n], float32 (n, i, k), (n, k, j), (n, i, j); sums over k in order."""
    for n in range(len(a)):
        for i in range(a.shape[1]):
            target = out[n, i]
            for j in range(len(target)):
                target[j] = 0
            for k in range(a.shape[2]):
                x = a[n, i, k]
                for j in range(len(target)):
                    target[j] += x * b[n, k, j]


@kernel
def tanh_scores(
    query: np.ndarray,
    key: np.ndarray,
    inner: np.ndarray,
    outer: np.ndarray,
    scratch: np.ndarray,
    out: np.ndarray,
) -> None:
    """out[n, t, s] = sum over i of outer[i] tanh(inner[i] (query[n, t, i] + key[n, s, i])).

    float32: query (n, t, width), key (n, s, width), inner and outer (width,), scratch (whole
    vectors, at least width), out (n, t, s).
    """
    width = query.shape[2]
    for n in range(len(query)):
        for t in range(query.shape[1]):
            for s in range(key.shape[1]):
                for i in range(width):
                    scratch[i] = inner[i] * (query[n, t, i] + key[n, s, i])
                for i in range(0, width, LANES):
                    tanh_lanes(scratch.ctypes.data + 4 * i)
                total = np.float32(0)
                for i in range(width):
                    total += outer[i] * scratch[i]
                out[n, t, s] = total


@kernel
def attend(
    scores: np.ndarray,
    heads: int,
    kept: np.ndarray,
    masked: float,
    added: bool,
    scratch: np.ndarray,
) -> None:
    """Softmax over the last dimension of scores, float32 (rows * heads, t, s), in place.

    kept     bool (rows, t or 1, s): the pairs that a mask keeps; (0, 1, 1): all
    masked   what the others score, or (`added`) what is added to their score
    scratch  float32 (whole vectors, at least s)
    """
    count = scores.shape[2]
    for n in range(len(scores)):
        for t in range(scores.shape[1]):
            row = scores[n, t]
            for s in range(count):
                scratch[s] = row[s]
                if len(kept) and not kept[n // heads, min(t, kept.shape[1] - 1), s]:
                    scratch[s] = row[s] + np.float32(masked) if added else np.float32(masked)
            softmax_row(scratch, count)
            for s in range(count):
                row[s] = scratch[s]


@kernel
def sum_logarithms(
    rows: Rows,
    weights: np.ndarray,
    scale: np.ndarray,
    unit: bool,
    bias: np.ndarray,
    counts: np.ndarray,
    total: np.ndarray,
    out: np.ndarray,
) -> None:
    """out[r] = bias + sum over the row's words of (1 + ln count) weights[id - 1].

    unit: the sum is divided by the Euclidean length of (1 + ln count) scale. weights float32
    (columns, n); scale float32 (columns,); bias float32 (n,); counts int32 (columns,), all 0 before
    and after; total float64 (n,): scratch; out float32 (rows, at least n).
    """
    for r in range(len(rows.stored)):
        first, end = rows.starts[r], rows.starts[r] + rows.stored[r]
        for i in range(len(total)):
            total[i] = 0
        square = 0.0
        for place in range(first, end):
            counts[rows.ids[place] - 1] += 1
        for place in range(first, end):
            column = rows.ids[place] - 1
            if counts[column] == 0:
                continue
            factor = 1.0 + np.log(np.float64(counts[column]))
            square += (factor * scale[column]) ** 2
            counts[column] = 0
            for i in range(len(total)):
                total[i] += factor * weights[column, i]
        length = np.sqrt(square) if unit and square > 0 else 1.0
        for i in range(len(total)):
            out[r, i] = bias[i] + total[i] / length
