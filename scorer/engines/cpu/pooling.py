"""GlobalMaxPooling1D and GlobalAveragePooling1D."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from scorer.bundle import Node
from scorer.engines.cpu import sequences
from scorer.engines.cpu.compiled import Rows
from scorer.engines.cpu.signals import Built, Signal, Tile, looked_up, one_each, refuse
from scorer.engines.cpu.simd import empty, padded


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
    if node.layer.settings.get("keepdims"):
        raise refuse(node.layer, "has no keepdims")
    steps, signal = looked_up(node, signal)
    pool = Pool(kernel, signal.width, signal.masked, signal.length)
    return [*steps, pool], Signal("vector", width=signal.width)
