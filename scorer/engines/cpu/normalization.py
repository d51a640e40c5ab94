"""UnitNormalization: vectors, positions of a sequence or bags of words brought to length 1."""

from __future__ import annotations

from dataclasses import dataclass, replace

from scorer.bundle import Layer
from scorer.engines.cpu import kernels
from scorer.engines.cpu.embedding import looked_up
from scorer.engines.cpu.plan import Built, Signal, Step, Tile, builds


@dataclass(frozen=True, eq=False)
class Normalize:
    """x / |x| for every vector or every position, in place; zeros stay zeros."""

    columns: int

    def run(self, tile: Tile) -> Tile:
        kernels.normalize(tile.values, self.columns)
        return tile


@builds("UnitNormalization")
def _unit_normalization(layer: Layer, signal: Signal) -> Built:
    """A bag is never laid out: the Dense that reads it divides its sums."""
    if signal.kind == "bag":
        return [], replace(signal, unit=True)
    steps: list[Step] = []
    if signal.kind != "vector":
        steps, signal = looked_up(layer, signal)
    return [*steps, Normalize(signal.width)], signal
