"""A convolution over words and its maximum over the text, for packed rows.

The zoo's network has a fixed length, so Keras' convolution reads padding too. Windows of padding
alone are all the same, so a row keeps `width` padding tokens (see `corpus.py`) and gives the very
maximum that the full length gives.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import numpy as np
from numba import njit

from scripts.training.batches import Packed
from scripts.training.layers import Context, Saved, glorot
from scripts.training.pooling import maxima
from scripts.training.types import AnyArray, Floats, Ints, Weights


def _spread_loop(
    dy: Floats, at: Ints, index: Ints, x: Floats, kernel: Floats, dx: Floats, dkernel: Floats
) -> None:
    """Gradients of the windows that won. kernel and dkernel are (filters, width, features)."""
    for r in range(dy.shape[0]):
        for f in range(dy.shape[1]):
            g = dy[r, f]
            if g == 0:
                continue
            for k in range(index.shape[1]):
                token = index[at[r, f], k]
                for j in range(x.shape[1]):
                    dx[token, j] += g * kernel[f, k, j]
                    dkernel[f, k, j] += g * x[token, j]


_spread = cast(Callable[..., None], njit(nogil=True, cache=True)(_spread_loop))


def _windows(batch: Packed, width: int) -> tuple[Ints, AnyArray]:
    """The sorted row (windows,) and the packed tokens (windows, width) of every window."""
    sizes = batch.sizes[width - 1 :]
    step = np.repeat(np.arange(sizes.size), sizes)
    row = np.arange(step.size) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    index = np.stack([batch.starts[step + k] + row for k in range(width)], axis=1)
    return row, index


class ConvMaxPool:
    """Conv1D with relu, then GlobalMaxPooling1D; the maximum is taken first, relu keeps order."""

    def __init__(self, features: int, filters: int, width: int, rng: np.random.Generator) -> None:
        self.weights: Weights = {
            "kernel": glorot(rng, width, features, filters),
            "bias": np.zeros(filters, np.float32),
        }

    def forward(self, x: Floats, context: Context) -> tuple[Floats, Saved]:
        kernel = self.weights["kernel"]
        width, features, filters = kernel.shape
        row, index = _windows(context.batch, width)
        y = x[index].reshape(-1, width * features) @ kernel.reshape(-1, filters)
        rows = context.batch.lengths.size
        best = np.full((rows, filters), -np.inf, np.float32)
        at = np.zeros((rows, filters), np.int64)
        maxima(y, row, best, at)
        out = np.maximum(best + self.weights["bias"], np.float32(0))
        return out, (x, index, at, out)

    def backward(self, dy: Floats, saved: Saved, context: Context) -> tuple[Floats, Weights]:
        x, index, at, out = saved
        dy = np.ascontiguousarray(dy * (out > 0))
        by_filter = np.ascontiguousarray(self.weights["kernel"].transpose(2, 0, 1))
        dx, dkernel = np.zeros_like(x), np.zeros_like(by_filter)
        _spread(dy, at, index, x, by_filter, dx, dkernel)
        grads = {"kernel": dkernel.transpose(1, 2, 0), "bias": dy.sum(axis=0)}
        return dx, {name: np.ascontiguousarray(g) for name, g in grads.items()}
