"""Dense, on vectors or on every position of a sequence; activations; the product both rest on."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from scorer.bundle import Layer
from scorer.engines.cpu import kernels
from scorer.engines.cpu.plan import Built, Signal, Tile, builds, refuse
from scorer.engines.cpu.simd import ROWS, pack_columns

ACTIVATIONS = {
    "linear": 0,
    "relu": kernels.RELU,
    "sigmoid": kernels.SIGMOID,
    "tanh": kernels.TANH,
    "softmax": kernels.SOFTMAX,
}


def multiply(x: np.ndarray, packed: np.ndarray, bias: np.ndarray) -> np.ndarray:
    """x W + bias, float32 (rows, blocks * COLUMNS), each row independent of the others.

    x float32 (rows, ld >= k); packed (blocks, k, 4, LANES); bias float32 (blocks * COLUMNS,).
    """
    rows, (blocks, k, gates, lanes) = len(x), packed.shape
    out = np.empty((rows, blocks * gates * lanes), dtype=np.float32)
    if rows:
        table = np.empty((3, rows + ROWS), dtype=np.int64)
        kernels.affine(x, k, packed, bias, table, out)
    return out


def widen(bias: np.ndarray, columns: int) -> np.ndarray:
    """`bias` (n,) followed by zeros up to `columns`."""
    wide = np.zeros(columns, dtype=np.float32)
    wide[: len(bias)] = bias
    return wide


@dataclass(frozen=True, eq=False)
class Dense:
    """activation(x W + b) for every vector or every position."""

    packed: np.ndarray
    bias: np.ndarray
    columns: int
    activation: int

    def run(self, tile: Tile) -> Tile:
        values = multiply(tile.values, self.packed, self.bias)
        if self.activation:
            kernels.activate(values, self.columns, self.activation)
        return replace(tile, values=values)


@builds("Dense")
def _dense(layer: Layer, signal: Signal) -> Built:
    if signal.kind not in ("vector", "sequence"):
        raise refuse(layer, f"does not run it on {signal.kind}")
    kernel, *rest = layer.weights
    packed = pack_columns(kernel)
    columns = kernel.shape[1]
    bias = widen(rest[0] if rest else kernel[0, :0], packed.size // len(kernel))
    step = Dense(packed, bias, columns, ACTIVATIONS[layer.config["activation"]])
    return [step], replace(signal, width=columns)
