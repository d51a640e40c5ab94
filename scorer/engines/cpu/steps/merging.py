"""Layers that make one tensor of several: vectors, sequences of the same positions, or blocks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from typing import Any

import numpy as np

from scorer.bundle import Node
from scorer.engines.cpu.loops.products import batch_products
from scorer.engines.cpu.loops.simd import padded, zeros
from scorer.engines.cpu.signals import Built, Signal, Tile, refuse
from scorer.engines.cpu.steps.blocks import on_blocks

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
KINDS = tuple(_COMBINE)


Masks = Sequence[np.ndarray | None]  # for each part, bool of its shape but with one column


def _masked_product(parts: Sequence[np.ndarray], masks: Masks) -> np.ndarray:
    """Keras': 1 for what is masked in a part, and 0 for what is masked in all."""
    one = np.float32(1)
    pairs = zip(parts, masks, strict=True)
    product: np.ndarray = reduce(
        np.multiply, [part if m is None else np.where(m, part, one) for part, m in pairs]
    )
    known = [mask for mask in masks if mask is not None]
    if len(known) < len(masks):
        return product
    return np.where(reduce(np.logical_or, known), product, np.float32(0))


def _masked_extreme(choose: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> Callable[..., Any]:
    """Keras': what is masked in one part is taken from the other."""

    def extreme(parts: Sequence[np.ndarray], masks: Masks) -> np.ndarray:
        best, known = parts[0], masks[0]
        for part, mask in zip(parts[1:], masks[1:], strict=True):
            part = part if mask is None else np.where(mask, part, best)
            best = choose(best if known is None else np.where(known, best, part), part)
            known = None if mask is None or known is None else known | mask
        return best

    return extreme


#: those of which Keras looks at the mask
_MASKED: dict[str, Callable[[Sequence[np.ndarray], Masks], np.ndarray]] = {
    "Multiply": _masked_product,
    "Maximum": _masked_extreme(np.maximum),
    "Minimum": _masked_extreme(np.minimum),
}


@dataclass(frozen=True, eq=False)
class Merge:
    """Vectors, or the vectors of each position.

    widths  the columns of each tile that count
    masked  of each tile, where the padding that is stored counts as masked; else empty
    """

    kind: str
    widths: tuple[int, ...]
    masked: tuple[bool, ...]

    def run(self, *tiles: Tile) -> Tile:
        aligned = _aligned(tiles)
        columns = zip(aligned, self.widths, strict=True)
        parts = [tile.values[:, :width] for tile, width in columns]
        if self.masked:
            mask = _stored_tokens(aligned[0])
            joined = _MASKED[self.kind](parts, [mask if yes else None for yes in self.masked])
        else:
            joined = _COMBINE[self.kind](parts)
        values = zeros(len(joined), padded(joined.shape[1]))
        values[:, : joined.shape[1]] = joined
        return replace(aligned[0], values=values)


def merge(node: Node, *signals: Signal) -> Built:
    kind, kinds = _LAYERS.get(node.layer.kind, node.layer.kind), {s.kind for s in signals}
    lengths = {given.shape[:-1] for given in node.given}
    last = node.layer.settings.get("axis", -1) in (-1, len(node.spec.shape))
    if kinds not in ({"vector"}, {"sequence"}) or len(lengths) > 1 or not last:
        return _merged_blocks(node, *signals)
    if kind != "Concatenate" and len({signal.width for signal in signals}) > 1:
        return _merged_blocks(node, *signals)
    widths = tuple(signal.width for signal in signals)
    step = Merge(kind, widths, _masks(node, *signals))
    return [step], replace(signals[0], width=node.spec.width, masked=node.spec.masked)


def _masks(node: Node, *signals: Signal) -> tuple[bool, ...]:
    """Which parts' masks count; none where no padding is stored, or Keras looks at no mask."""
    fixed = all(signal.length is not None or signal.kind == "block" for signal in signals)
    masked = tuple(signal.masked for signal in signals)
    counts = node.layer.kind in _MASKED and any(masked) and fixed
    return masked if counts else ()


def _merged_blocks(node: Node, *signals: Signal) -> Built:
    """Tensors of any shapes, broadcast as Keras does: missing dimensions come after the rows."""
    kind = _LAYERS.get(node.layer.kind, node.layer.kind)
    rank = max(len(given.shape) for given in node.given)
    if kind == "Concatenate":
        axis = node.layer.settings["axis"]
        if node.spec.masked and axis not in (-1, len(node.spec.shape)):
            raise refuse(node.layer, "joins no masked sequences one after another")
        return on_blocks(node, lambda *parts: np.concatenate(parts, axis=axis), *signals)

    def combined(*parts: np.ndarray, masks: Masks = ()) -> np.ndarray:
        parts = tuple(
            part.reshape(len(part), *[1] * (rank + 1 - part.ndim), *part.shape[1:])
            for part in parts
        )
        if masks:
            wide = [None if m is None else m.reshape(*m.shape, *[1] * (rank - 1)) for m in masks]
            return _MASKED[kind](parts, wide)
        return _COMBINE[kind](parts)

    masks = tuple(s.masked for s in signals) if node.layer.kind in _MASKED else ()
    return on_blocks(node, combined, *signals, masks=masks if any(masks) else ())


def dot(node: Node, *signals: Signal) -> Built:
    """Sums of products along one dimension of each of two tensors, which becomes the last of the
    first and the first of the second."""
    axes, ranks = node.layer.settings["axes"], [len(given.shape) for given in node.given]
    both = axes if isinstance(axes, list) else [axes, axes]
    places = [axis if axis > 0 else axis + rank + 1 for axis, rank in zip(both, ranks, strict=True)]

    def product(first: np.ndarray, second: np.ndarray) -> np.ndarray:
        if node.layer.settings["normalize"]:
            pairs = zip((first, second), places, strict=True)
            first, second = (_unit(part, axis) for part, axis in pairs)
        a, b = np.moveaxis(first, places[0], -1), np.moveaxis(second, places[1], 1)
        shape = len(a), *a.shape[1:-1], *b.shape[2:]
        out = batch_products(a.reshape(len(a), -1, a.shape[-1]), b.reshape(len(b), b.shape[1], -1))
        return out.reshape(len(a), *(shape[1:] or (1,)))

    return on_blocks(node, product, *signals)


def _unit(x: np.ndarray, axis: int) -> np.ndarray:
    """Of length 1 along an axis, as keras.utils.normalize in float32."""
    square = np.square(np.moveaxis(x, axis, -1)).sum(axis=-1, dtype=np.float64)
    scale = 1 / np.sqrt(np.maximum(square, 1e-12))
    return x * np.expand_dims(scale, axis).astype(np.float32)


def _stored_tokens(tile: Tile) -> np.ndarray:
    """bool (positions, 1): which stored positions of a sequence are tokens."""
    rows = np.repeat(np.arange(len(tile.stored)), tile.stored)
    mask: np.ndarray = np.arange(len(rows)) - tile.starts[rows] < tile.valid[rows]
    return mask[:, None]


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
