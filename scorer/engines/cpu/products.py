"""The matrix product that every layer rests on, and the names of the activations."""

from __future__ import annotations

import numpy as np

from scorer.bundle import Layer
from scorer.engines.cpu import kernels
from scorer.engines.cpu.signals import refuse
from scorer.engines.cpu.simd import empty, zeros
from scorer.engines.cpu.vectors import ROWS

ACTIVATIONS = {
    "linear": 0,
    "relu": kernels.RELU,
    "sigmoid": kernels.SIGMOID,
    "tanh": kernels.TANH,
    "softmax": kernels.SOFTMAX,
}


def activation_of(layer: Layer) -> int:
    """The kernels' number of a layer's activation. Raises UnsupportedModel where they lack it."""
    name = layer.settings["activation"]
    if name not in ACTIVATIONS:
        raise refuse(layer, f"lacks the activation {name!r}")
    return ACTIVATIONS[name]


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


def widen(bias: np.ndarray, columns: int) -> np.ndarray:
    """`bias` (n,) followed by zeros up to `columns`."""
    wide = zeros(columns)
    wide[: len(bias)] = bias
    return wide
