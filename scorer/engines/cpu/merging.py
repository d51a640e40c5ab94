"""Layers that make one tensor of several: one vector a row, or sequences of the same positions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import reduce

import numpy as np

from scorer.bundle import Node
from scorer.engines.cpu.signals import Built, Signal, Tile, refuse
from scorer.engines.cpu.simd import padded, zeros

Combine = Callable[[Sequence[np.ndarray]], np.ndarray]


def _average(parts: Sequence[np.ndarray]) -> np.ndarray:
    mean: np.ndarray = reduce(np.add, parts) / np.float32(len(parts))
    return mean


#: layer -> what it makes of float32 (rows, width) arrays
_COMBINE: dict[str, Combine] = {
    "Concatenate": np.hstack,
    "Add": lambda parts: reduce(np.add, parts),
    "Subtract": lambda parts: reduce(np.subtract, parts),
    "Multiply": lambda parts: reduce(np.multiply, parts),
    "Average": _average,
    "Maximum": lambda parts: reduce(np.maximum, parts),
    "Minimum": lambda parts: reduce(np.minimum, parts),
}
#: `x + y` as the layer that does the same
_LAYERS = {
    "add": "Add",
    "subtract": "Subtract",
    "multiply": "Multiply",
    "maximum": "Maximum",
    "minimum": "Minimum",
    "concatenate": "Concatenate",
}
KINDS = (*_COMBINE, *_LAYERS)


@dataclass(frozen=True, eq=False)
class Merge:
    """Vectors, or the vectors of each position. widths: the columns of each tile that count."""

    combine: Combine
    widths: tuple[int, ...]

    def run(self, *tiles: Tile) -> Tile:
        aligned = _aligned(tiles)
        columns = zip(aligned, self.widths, strict=True)
        joined = self.combine([tile.values[:, :width] for tile, width in columns])
        values = zeros(len(joined), padded(joined.shape[1]))
        values[:, : joined.shape[1]] = joined
        return replace(aligned[0], values=values)


def merge(node: Node, *signals: Signal) -> Built:
    kinds = {signal.kind for signal in signals}
    if kinds not in ({"vector"}, {"sequence"}):
        raise refuse(node.layer, f"merges vectors or sequences, not {' and '.join(sorted(kinds))}")
    _check(node)
    kind = _LAYERS.get(node.layer.kind, node.layer.kind)
    step = Merge(_COMBINE[kind], tuple(signal.width for signal in signals))
    return [step], replace(signals[0], width=node.spec.width, masked=node.spec.masked)


def _check(node: Node) -> None:
    """Raise UnsupportedModel for what takes more than columns side by side."""
    heads = {given.shape[:-1] for given in node.given}
    widths = {given.width for given in node.given}
    joins = node.layer.kind in ("Concatenate", "concatenate")
    if len(node.given) == 1:
        raise refuse(node.layer, "has no operation with a number")
    if len(heads) > 1 or (len(widths) > 1 and not joins) or len(node.given[0].shape) > 2:
        raise refuse(node.layer, "merges what has the same shape alone")
    if joins and node.layer.settings["axis"] not in (-1, len(node.given[0].shape)):
        raise refuse(node.layer, "joins along the last dimension alone")


def _aligned(tiles: Sequence[Tile]) -> Sequence[Tile]:
    """Sequences of the same rows with as many positions stored in each.

    Past the stored positions all equal the last, which is repeated.
    """
    stored = reduce(np.maximum, [tile.stored for tile in tiles])
    if all(np.array_equal(tile.stored, stored) for tile in tiles):
        return tiles
    starts = np.cumsum(stored) - stored
    rows = np.repeat(np.arange(len(stored)), stored)
    position = np.arange(len(rows)) - starts[rows]
    aligned = []
    for tile in tiles:
        place = tile.starts[rows] + np.minimum(position, tile.stored[rows] - 1)
        aligned.append(replace(tile, starts=starts, stored=stored, values=tile.values[place]))
    return aligned
