"""Embedding, and the layers that do nothing here."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from scorer.bundle import Layer
from scorer.engines.cpu import sequences
from scorer.engines.cpu.compiled import Rows
from scorer.engines.cpu.plan import (
    Built,
    Signal,
    Step,
    Tile,
    builds,
    needs_sequence,
    refuse,
    spread,
)
from scorer.engines.cpu.simd import padded, zeros


@builds(
    "Dropout",
    "SpatialDropout1D",
    "GaussianDropout",
    "GaussianNoise",
    "ActivityRegularization",
    "Rescaling",
    takes_pending=True,
)
def _nothing(layer: Layer, signal: Signal) -> Built:
    """Layers that act in training alone, and Rescaling, which a bundle has by 1 only."""
    return [], signal


@builds("Embedding")
def _embedding(layer: Layer, signal: Signal) -> Built:
    """The look-up is left to the next layer, which can often fold its weights into the table."""
    if signal.kind != "tokens" or signal.embedding is not None:
        raise refuse(layer, "expects it right after the vectorizer")
    (matrix,) = layer.weights
    masked = bool(layer.config["mask_zero"])
    return [], replace(signal, embedding=matrix, width=matrix.shape[1], masked=masked)


@dataclass(frozen=True, eq=False)
class LookUp:
    """Token ids to embeddings. matrix float32 (ids, width)."""

    matrix: np.ndarray
    length: int | None

    def run(self, tile: Tile) -> Tile:
        after = spread(tile, tile.valid, self.length)
        out = zeros(int(after.stored.sum()), padded(self.matrix.shape[1]))
        rows = Rows(True, tile.ids, tile.starts, tile.stored, after.stored)
        sequences.look_up(rows, self.matrix, out, after.starts)
        return replace(after, values=out)


def looked_up(layer: Layer, signal: Signal) -> tuple[list[Step], Signal]:
    """Turn tokens into a sequence for a layer that needs one."""
    needs_sequence(layer, signal)
    if signal.embedding is None:
        return [], signal
    step = LookUp(np.ascontiguousarray(signal.embedding), signal.length)
    return [step], replace(signal, kind="sequence", embedding=None)
