"""ReLU and the maximum over a row's steps, for packed rows.

After ReLU no value is below zero, so zeros that Keras puts at padded steps never win: the maximum
over a row's own steps is the maximum over any padded length.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import numpy as np
from numba import njit

from scripts.training.layers import Context, Saved
from scripts.training.types import Floats, Ints, Weights


def _maxima_loop(y: Floats, row: Ints, best: Floats, at: Ints) -> None:
    """Running maximum of y (steps, features) for each row, and the step it stands in."""
    for k in range(row.size):
        r = row[k]
        for f in range(y.shape[1]):
            if y[k, f] > best[r, f]:
                best[r, f] = y[k, f]
                at[r, f] = k


maxima = cast(Callable[..., None], njit(nogil=True, cache=True)(_maxima_loop))


class Relu:
    """max(x, 0)."""

    def __init__(self) -> None:
        self.weights: Weights = {}

    def forward(self, x: Floats, context: Context) -> tuple[Floats, Saved]:
        y = np.maximum(x, np.float32(0))
        return y, y > 0

    def backward(self, dy: Floats, saved: Saved, context: Context) -> tuple[Floats, Weights]:
        return dy * saved, {}


class MaxPool:
    """The greatest of each feature over a row's steps: (steps, features) to (rows, features)."""

    def __init__(self) -> None:
        self.weights: Weights = {}

    def forward(self, x: Floats, context: Context) -> tuple[Floats, Saved]:
        rows = context.batch.lengths.size
        best = np.full((rows, x.shape[1]), -np.inf, np.float32)
        at = np.zeros((rows, x.shape[1]), np.int64)
        maxima(x, context.batch.row, best, at)
        return best, (at, x.shape[0])

    def backward(self, dy: Floats, saved: Saved, context: Context) -> tuple[Floats, Weights]:
        at, steps = saved
        dx = np.zeros((steps, dy.shape[1]), np.float32)
        dx[at, np.arange(dy.shape[1])] = dy
        return dx, {}
