"""UnitNormalization: vectors, positions of a sequence or bags of words brought to length 1."""

from __future__ import annotations

from dataclasses import dataclass, replace

from scorer.bundle import Node
from scorer.engines.cpu import kernels
from scorer.engines.cpu.signals import Built, Signal, Tile, positionwise


@dataclass(frozen=True, eq=False)
class Normalize:
    """x / |x| for every vector or every position, in place; zeros stay zeros."""

    columns: int
    in_place = True

    def run(self, *tiles: Tile) -> Tile:
        (tile,) = tiles
        kernels.normalize(tile.values, self.columns)
        return tile


def unit_normalization(node: Node, signal: Signal) -> Built:
    """A bag is never laid out: the Dense that reads it divides its sums."""
    if signal.kind == "bag":
        return [], replace(signal, unit=True)
    steps, signal = positionwise(node, signal)
    return [*steps, Normalize(signal.width)], signal
