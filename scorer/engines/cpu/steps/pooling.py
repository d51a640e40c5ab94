"""Pooling over all positions of a row, and over windows of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from scorer.bundle import Node
from scorer.engines.cpu.loops import general, sequences
from scorer.engines.cpu.loops.rows import Rows
from scorer.engines.cpu.loops.simd import empty, padded
from scorer.engines.cpu.signals import Built, Signal, Tile, looked_up, one_each, refuse


@dataclass(frozen=True, eq=False)
class Pool:
    """One vector a row from a sequence: greatest of each column, or mean.

    kernel   sequences.pool_max or sequences.pool_mean
    masked   over a row's tokens alone, else over all `length` positions
    """

    kernel: Callable[..., Any]
    width: int
    masked: bool
    length: int | None

    def run(self, *tiles: Tile) -> Tile:
        (tile,) = tiles
        rows = len(tile.starts)
        out = empty(rows, padded(self.width))
        steps = tile.valid if self.masked else np.full(rows, self.length, dtype=np.int64)
        self.kernel(Rows(False, tile.ids, tile.starts, tile.stored, steps), tile.values, out)
        return one_each(out)


def pool_maxima(node: Node, signal: Signal) -> Built:
    """GlobalMaxPooling1D of any sequence; `convolution` does its own in one go.

    Keras heeds no mask here: masked positions are read, where the length is fixed.
    """
    return _pooled(node, replace(signal, masked=signal.length is None), sequences.pool_max)


def pool_means(node: Node, signal: Signal) -> Built:
    return _pooled(node, signal, sequences.pool_mean)


def _pooled(node: Node, signal: Signal, kernel: Callable[..., Any]) -> Built:
    steps, signal = looked_up(node, signal)
    pool = Pool(kernel, signal.width, signal.masked, signal.length)
    return [*steps, pool], kept(node, Signal("vector", width=signal.width))


def kept(node: Node, pooled: Signal) -> Signal:
    """With keepdims, a vector a row is a sequence of one position."""
    if not node.layer.settings.get("keepdims"):
        return pooled
    return Signal("sequence", width=pooled.width, length=1)


@dataclass(frozen=True, eq=False)
class PoolWindows:
    """The greatest, or the mean, of each column over windows of a sequence of fixed length."""

    taps: int
    stride: int
    left: int
    length: int
    positions: int
    mean: bool

    def run(self, *tiles: Tile) -> Tile:
        (tile,) = tiles
        # From the first window that begins at a row's last stored position, all are equal.
        same = -(-(tile.stored - 1 + self.left) // self.stride) + 1
        stored = np.minimum(same, self.positions)
        after = replace(tile, starts=np.cumsum(stored) - stored, stored=stored)
        out = empty(int(stored.sum()), tile.values.shape[1])
        rows = Rows(False, tile.ids, tile.starts, tile.stored, stored)
        general.pool_windows(
            rows,
            self.taps,
            self.stride,
            self.left,
            self.length,
            self.mean,
            tile.values,
            out,
            after.starts,
        )
        return replace(after, values=out)


def pool_windows(node: Node, signal: Signal) -> Built:
    """MaxPooling1D and AveragePooling1D. Neither counts what padding='same' adds."""
    steps, signal = looked_up(node, signal)
    settings, length, positions = node.layer.settings, signal.length, node.spec.shape[0]
    if length is None or positions is None:
        raise refuse(node.layer, "needs a fixed number of positions")
    (taps,), (stride,) = settings["pool_size"], settings["strides"]
    left = 0
    if settings["padding"] == "same":
        left = max((positions - 1) * stride + taps - length, 0) // 2
    mean = node.layer.kind.startswith("Average")
    step = PoolWindows(taps, stride, left, length, positions, mean)
    return [*steps, step], Signal("sequence", width=signal.width, length=positions)
