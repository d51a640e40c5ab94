"""Conv1D."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from scorer.bundle import Node
from scorer.engines.cpu.loops import sequences
from scorer.engines.cpu.loops.products import widen
from scorer.engines.cpu.loops.rows import Rows
from scorer.engines.cpu.loops.sequences import Window
from scorer.engines.cpu.loops.simd import empty, pack_columns, padded, zeros
from scorer.engines.cpu.loops.vectors import COLUMNS, ROWS
from scorer.engines.cpu.signals import FOLD_BYTES, Built, Signal, Tile, looked_up, one_each
from scorer.engines.cpu.steps.activations import Activation, activation_of
from scorer.engines.cpu.steps.folding import Folded
from scorer.engines.cpu.steps.pooling import kept, pool_maxima, pool_windows


@dataclass(frozen=True, eq=False)
class Convolution:
    """Conv1D over `window.length` positions, padding read as any other token.

    folded   the table of an Embedding in front, whose rows are `weights`
    weights  as sequences.convolve_tokens (folded) or sequences.convolve wants them
    bias     float32 (ld,) of the output
    """

    window: Window
    folded: Folded | None
    weights: np.ndarray
    bias: np.ndarray
    columns: int
    activation: Activation

    def run(self, *tiles: Tile) -> Tile:
        (tile,) = tiles
        stored = self.computed(tile.stored if self.folded is None else tile.valid)
        after = replace(tile, starts=np.cumsum(stored) - stored, stored=stored)
        total = int(stored.sum())
        out = empty(total + 1, len(self.bias))
        rows = Rows(self.folded is not None, tile.ids, tile.starts, tile.stored, stored)
        if self.folded is not None:
            self.folded.meet(tile.ids)
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
        self.activation(out, self.columns)
        return replace(after, values=out)

    def computed(self, stored: np.ndarray) -> np.ndarray:
        """How many output positions are computed: from the first that sees padding alone, all are
        equal, unless windows at the right end reach past it."""
        window = self.window
        end = (window.positions - 1) * window.stride + (window.taps - 1) * window.dilation
        if end - window.left >= window.length:
            return np.full_like(stored, window.positions)
        padding = stored - 1 if self.folded is None else stored
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
        if inner.folded is not None:
            inner.folded.meet(tile.ids)
        rows = Rows(True, tile.ids, tile.starts, tile.stored, inner.computed(tile.valid))
        terms = np.empty((2, inner.window.taps), dtype=np.int64)
        values, out = empty(1, len(inner.bias)), empty(len(tile.starts), len(inner.bias))
        sequences.convolve_tokens_max(
            rows, inner.window, inner.weights, inner.bias, terms, values, out
        )
        inner.activation(out, inner.columns)
        return one_each(out)


def convolution(node: Node, signal: Signal) -> Built:
    """Conv1D, and with its kernel written out DepthwiseConv1D and SeparableConv1D."""
    kernel, bias = _KERNELS[node.layer.kind](node)
    window = _window(node)
    columns, wide = kernel.shape[2], padded(kernel.shape[2])
    steps, _ = looked_up(node, signal)
    embedding = signal.embedding
    folded = None
    if embedding is not None and 4 * len(embedding) * len(kernel) * wide <= FOLD_BYTES:
        folded = _fold(embedding, kernel)
        weights, ld, steps = folded.table, wide, []
    else:
        packed = [pack_columns(tap) for tap in kernel]
        weights, ld = zeros(len(kernel), *packed[0].shape), padded(columns, COLUMNS)
        weights[:] = packed
    activation = activation_of(node.layer)
    step = Convolution(window, folded, weights, widen(bias, ld), columns, activation)
    out = Signal("sequence", width=columns, length=window.positions)
    if folded is not None and activation.keeps_order:
        return steps, replace(out, pending=step)
    return [*steps, step], out


KernelAndBias = tuple[np.ndarray, np.ndarray]  # (taps, width, columns), and (columns,) or (0,)


def _grouped(node: Node) -> KernelAndBias:
    """Of several groups, each a part of the columns, with zeros for what a filter does not read."""
    kernel, *rest = node.layer.weights
    groups = node.layer.settings.get("groups", 1)
    whole = zeros(len(kernel), kernel.shape[1] * groups, kernel.shape[2])
    read, made = kernel.shape[1], kernel.shape[2] // groups
    for group in range(groups):
        columns = slice(group * made, (group + 1) * made)
        whole[:, group * read : (group + 1) * read, columns] = kernel[:, :, columns]
    return whole, rest[0] if rest else whole[0, 0, :0]


def _depthwise(node: Node) -> KernelAndBias:
    kernel, *rest = node.layer.weights
    whole = _each_alone(kernel)
    return whole, rest[0] if rest else whole[0, 0, :0]


def _each_alone(kernel: np.ndarray) -> np.ndarray:
    """(taps, width, depth) to (taps, width, width * depth): a column makes `depth` of itself."""
    taps, width, depth = kernel.shape
    whole = zeros(taps, width, width * depth)
    for column in range(width):
        whole[:, column, column * depth : (column + 1) * depth] = kernel[:, column]
    return whole


def _separable(node: Node) -> KernelAndBias:
    """Both of its convolutions in one, multiplied in float64."""
    depthwise, pointwise, *rest = node.layer.weights
    taps, width, depth = depthwise.shape
    by_column = pointwise[0].reshape(width, depth, -1)
    kernel = np.zeros((taps, width, by_column.shape[2]))
    for k in range(depth):
        kernel += depthwise[:, :, k, None].astype(np.float64) * by_column[:, k]
    return kernel.astype(np.float32), rest[0] if rest else pointwise[0, 0, :0]


_KERNELS: dict[str, Callable[[Node], KernelAndBias]] = {
    "Conv1D": _grouped,
    "DepthwiseConv1D": _depthwise,
    "SeparableConv1D": _separable,
}


def max_pooling(node: Node, signal: Signal) -> Built:
    """Right after a convolution both are one step."""
    if not isinstance(signal.pending, Convolution):
        return pool_maxima(node, signal)
    step, pooled = PooledConvolution(signal.pending), Signal("vector", width=signal.width)
    return [step], kept(node, pooled)


def max_windows(node: Node, signal: Signal) -> Built:
    """MaxPooling1D; of one window over all of a convolution it is as fast as the global one."""
    (taps,) = node.layer.settings["pool_size"]
    if isinstance(signal.pending, Convolution):
        if node.spec.shape[0] == 1 and taps >= (signal.length or taps + 1):
            one = Signal("sequence", width=signal.width, length=1)
            return [PooledConvolution(signal.pending)], one
        steps, after = pool_windows(node, replace(signal, pending=None))
        return [signal.pending, *steps], after
    return pool_windows(node, signal)


def _fold(embedding: np.ndarray, kernel: np.ndarray) -> Folded:
    """A table float32 (ids, >= taps * padded(columns)): what an id adds through each tap."""
    taps, width, columns = kernel.shape
    by_tap = np.zeros((width, taps, padded(columns)), dtype=np.float32)
    by_tap[:, :, :columns] = kernel.transpose(1, 0, 2)
    packed = pack_columns(by_tap.reshape(width, -1))
    return Folded(embedding, packed, np.zeros(packed.size // width, dtype=np.float32))


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
