"""Embedding, and the layers that do nothing here."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from scorer.bundle import Node
from scorer.engines.cpu.loops import sequences
from scorer.engines.cpu.loops.rows import Rows
from scorer.engines.cpu.loops.simd import padded, zeros
from scorer.engines.cpu.signals import Built, Signal, Tile, refuse, spread


def nothing(node: Node, signal: Signal) -> Built:
    """Layers that act in training alone, and Identity."""
    return [], signal


def embedding(node: Node, signal: Signal) -> Built:
    """The look-up is left to the next layer, which can often fold its weights into the table."""
    (matrix,) = node.layer.weights
    if signal.kind != "tokens":
        raise refuse(node.layer, "looks up the ids of a text alone")
    if node.spec.masked and not signal.padding.is_implied:
        raise refuse(node.layer, "masks padding only where it is zeros after the words")
    look_up = LookUp(np.ascontiguousarray(matrix), signal.length)
    return [], replace(
        signal, embedding=matrix, look_up=look_up, width=matrix.shape[1], masked=node.spec.masked
    )


@dataclass(frozen=True, eq=False)
class LookUp:
    """Token ids to embeddings. matrix float32 (ids, width)."""

    matrix: np.ndarray
    length: int | None

    def run(self, *tiles: Tile) -> Tile:
        (tile,) = tiles
        after = spread(tile, tile.stored, self.length)
        out = zeros(int(after.stored.sum()), padded(self.matrix.shape[1]))
        rows = Rows(True, tile.ids, tile.starts, tile.stored, after.stored)
        sequences.look_up(rows, self.matrix, out, after.starts)
        return replace(after, values=out)
