"""Conv1D."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from scorer.bundle import Node
from scorer.engines.cpu import kernels, sequences
from scorer.engines.cpu.compiled import Rows
from scorer.engines.cpu.pooling import pool_maxima
from scorer.engines.cpu.products import ACTIVATIONS, activation_of, multiply, widen
from scorer.engines.cpu.sequences import Window
from scorer.engines.cpu.signals import FOLD_BYTES, Built, Signal, Tile, looked_up, one_each, refuse
from scorer.engines.cpu.simd import empty, pack_columns, padded, zeros
from scorer.engines.cpu.vectors import COLUMNS, ROWS


@dataclass(frozen=True, eq=False)
class Convolution:
    """Conv1D over `window.length` positions, padding read as any other token.

    weights  as sequences.convolve_tokens (folded) or sequences.convolve wants them
    bias     float32 (ld,) of the output
    """

    window: Window
    folded: bool
    weights: np.ndarray
    bias: np.ndarray
    columns: int
    activation: int

    def run(self, *tiles: Tile) -> Tile:
        (tile,) = tiles
        stored = self.computed(tile.valid if self.folded else tile.stored)
        after = replace(tile, starts=np.cumsum(stored) - stored, stored=stored)
        total = int(stored.sum())
        out = empty(total + 1, len(self.bias))
        rows = Rows(self.folded, tile.ids, tile.starts, tile.stored, stored)
        if self.folded:
            terms = np.empty(self.window.taps, dtype=np.int64)
            sequences.convolve_tokens(
                rows, self.window, self.weights, self.bias, terms, out, after.starts
            )
        elif total:
            x = np.concatenate([tile.values, np.zeros((1, tile.values.shape[1]), np.float32)])
            table = np.empty((4, total + ROWS), dtype=np.int64)
            sequences.convolve(
                rows, self.window, x, self.weights, self.bias, table, out, after.starts
            )
        out = out[:total]
        if self.activation:
            kernels.activate(out, self.columns, self.activation)
        return replace(after, values=out)

    def computed(self, stored: np.ndarray) -> np.ndarray:
        """How many output positions are computed: from the first that sees padding alone, all are
        equal, unless windows at the right end reach past it."""
        window = self.window
        end = (window.positions - 1) * window.stride + (window.taps - 1) * window.dilation
        if end - window.left >= window.length:
            return np.full_like(stored, window.positions)
        padding = stored if self.folded else stored - 1
        first = -(-(padding + window.left) // window.stride)
        computed: np.ndarray = np.minimum(first + 1, window.positions)
        return computed


@dataclass(frozen=True, eq=False)
class PooledConvolution:
    """A folded convolution and the greatest of each column over a row; no sequence is written.

    inner's activation keeps the order (relu or none), so it comes last.
    """

    inner: Convolution

    def run(self, *tiles: Tile) -> Tile:
        (tile,) = tiles
        inner = self.inner
        rows = Rows(True, tile.ids, tile.starts, tile.stored, inner.computed(tile.valid))
        terms = np.empty((2, inner.window.taps), dtype=np.int64)
        values, out = empty(1, len(inner.bias)), empty(len(tile.starts), len(inner.bias))
        sequences.convolve_tokens_max(
            rows, inner.window, inner.weights, inner.bias, terms, values, out
        )
        if inner.activation:
            kernels.activate(out, inner.columns, inner.activation)
        return one_each(out)


def convolution(node: Node, signal: Signal) -> Built:
    if node.layer.settings.get("groups", 1) != 1:
        raise refuse(node.layer, "runs one group alone")
    window = _window(node)
    kernel, *rest = node.layer.weights
    bias = rest[0] if rest else kernel[0, 0, :0]
    columns, wide = kernel.shape[2], padded(kernel.shape[2])
    steps, _ = looked_up(node, signal)
    embedding = signal.embedding
    folded = embedding is not None and 4 * len(embedding) * len(kernel) * wide <= FOLD_BYTES
    if embedding is not None and folded:
        weights, ld, steps = _fold(embedding, kernel), wide, []
    else:
        packed = [pack_columns(tap) for tap in kernel]
        weights, ld = zeros(len(kernel), *packed[0].shape), padded(columns, COLUMNS)
        weights[:] = packed
    activation = activation_of(node.layer)
    step = Convolution(window, folded, weights, widen(bias, ld), columns, activation)
    out = Signal("sequence", width=columns, length=window.positions)
    if folded and activation in (ACTIVATIONS["linear"], ACTIVATIONS["relu"]):
        return steps, replace(out, pending=step)
    return [*steps, step], out


def max_pooling(node: Node, signal: Signal) -> Built:
    """Right after a convolution both are one step."""
    if node.layer.settings.get("keepdims") or not isinstance(signal.pending, Convolution):
        return pool_maxima(node, signal)
    return [PooledConvolution(signal.pending)], Signal("vector", width=signal.width)


def _fold(embedding: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """float32 (ids, >= taps * padded(columns)): what an id adds through each tap."""
    taps, width, columns = kernel.shape
    by_tap = np.zeros((width, taps, padded(columns)), dtype=np.float32)
    by_tap[:, :, :columns] = kernel.transpose(1, 0, 2)
    packed = pack_columns(by_tap.reshape(width, -1))
    return multiply(embedding, packed, np.zeros(packed.size // width, dtype=np.float32))


def _window(node: Node) -> Window:
    """The geometry of TensorFlow's convolutions: 'same' has more of its zeros on the right."""
    settings = node.layer.settings
    (taps,), (stride,) = settings["kernel_size"], settings["strides"]
    (dilation,) = settings["dilation_rate"]
    length, positions = node.given[0].shape[0] or 0, node.spec.shape[0] or 0
    span = (taps - 1) * dilation
    left = {"valid": 0, "causal": span}.get(settings["padding"])
    if left is None:
        left = max((positions - 1) * stride + span + 1 - length, 0) // 2
    return Window(taps, stride, dilation, left, length, positions)
