"""Blocks: tensors of any shape for each row, and the ways from sequences and vectors to them.

A block holds every position, padding too, so a step on blocks is plain NumPy over all rows at once.
Such a step must give a row the same bits whichever rows are beside it: element by element, sums
along dimensions of one row, and `products.multiply`, but no BLAS.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from math import prod

import numpy as np

from scorer.bundle import Node
from scorer.engines.cpu.loops.simd import padded, zeros
from scorer.engines.cpu.signals import (
    Builder,
    Built,
    Shape,
    Signal,
    Step,
    Tile,
    looked_up,
    refuse,
)
from scorer.engines.encode import bag_of_words
from scorer.vectorizer import TokenBatch, VectorizerSpec

#: the most columns of a bag of words that are laid out for layers other than Dense
MOST_COLUMNS = 1 << 18

Function = Callable[..., np.ndarray]


@dataclass(frozen=True, eq=False)
class Expand:
    """A sequence to a block (rows, positions, width); positions as many as the longest row has
    where `length` is None, but one at least."""

    length: int | None
    width: int

    def run(self, *tiles: Tile) -> Tile:
        (tile,) = tiles
        length = self.length or max(int(tile.stored.max(initial=1)), 1)
        if not len(tile.values):
            values = np.zeros((len(tile.starts), length, self.width), np.float32)
            return replace(tile, values=values)
        position = np.minimum(np.arange(length), np.maximum(tile.stored, 1)[:, None] - 1)
        place = np.minimum(tile.starts[:, None] + position, len(tile.values) - 1)
        return replace(tile, values=tile.values[place, : self.width])


@dataclass(frozen=True, eq=False)
class Collapse:
    """A block (rows, positions, width) to a sequence that stores every position."""

    open: bool

    def run(self, *tiles: Tile) -> Tile:
        (tile,) = tiles
        rows, length, width = tile.values.shape
        values = zeros(rows * length, padded(width))
        values[:, :width] = tile.values.reshape(-1, width)
        stored = np.full(rows, length, dtype=np.int64)
        if self.open:
            stored = np.minimum(stored, tile.valid)
        return replace(tile, starts=np.arange(rows) * length, stored=stored, values=values)


@dataclass(frozen=True, eq=False)
class Narrow:
    """Vectors in whole lanes to a block (rows, width)."""

    width: int

    def run(self, *tiles: Tile) -> Tile:
        (tile,) = tiles
        return replace(tile, values=np.ascontiguousarray(tile.values[:, : self.width]))


@dataclass(frozen=True, eq=False)
class Widen:
    """A block to vectors in whole lanes: one a row, or (`every`) one for each of its last
    dimensions."""

    every: bool = False

    def run(self, *tiles: Tile) -> Tile:
        (tile,) = tiles
        width = tile.values.shape[-1] if self.every else prod(tile.values.shape[1:])
        flat = tile.values.reshape(-1, width)
        values = zeros(len(flat), padded(width))
        values[:, :width] = flat
        if self.every:
            return replace(tile, values=values)
        each = np.ones(len(flat), dtype=np.int64)
        return replace(tile, values=values, starts=np.arange(len(flat)), stored=each)


@dataclass(frozen=True, eq=False)
class Fold:
    """The vectors of `Widen(every=True)` to a block again, as wide as they have become."""

    shape: Shape

    def run(self, *tiles: Tile) -> Tile:
        (tile,) = tiles
        shape = [-1 if n is None else n for n in self.shape]
        values = np.ascontiguousarray(tile.values[:, : self.shape[-1]])
        return replace(tile, values=values.reshape(len(tile.starts), *shape))


@dataclass(frozen=True, eq=False)
class Restore:
    """The vectors of `Widen()`, one a row, to a block of that shape again."""

    shape: tuple[int, ...]

    def run(self, *tiles: Tile) -> Tile:
        (tile,) = tiles
        values = np.ascontiguousarray(tile.values[:, : prod(self.shape)])
        return replace(tile, values=values.reshape(-1, *self.shape))


@dataclass(frozen=True, eq=False)
class LayOut:
    """A bag's token ids to a vector a row, as wide as the bag."""

    spec: VectorizerSpec
    unit: bool

    def run(self, *tiles: Tile) -> Tile:
        (tile,) = tiles
        places = [np.arange(s, s + n) for s, n in zip(tile.starts, tile.stored, strict=True)]
        ids = tile.ids[np.concatenate(places)] if places else tile.ids[:0]
        offsets = np.concatenate([[0], np.cumsum(tile.stored)])
        bag = bag_of_words(self.spec, TokenBatch(ids, offsets, tile.stored, tile.stored))
        if self.unit:
            length = np.sqrt(np.square(bag, dtype=np.float64).sum(axis=1, keepdims=True))
            bag /= np.where(length > 0, length, 1).astype(np.float32)
        values = zeros(len(bag), padded(bag.shape[1]))
        values[:, : bag.shape[1]] = bag
        return replace(tile, values=values)


@dataclass(frozen=True, eq=False)
class Apply:
    """A function of blocks, float32 (rows, *shape), for tiles that `before` makes blocks of.

    base   the number of the tile whose rows, and whose tokens, the result has
    masks  the function is also given, as `masks`, for each block bool (rows, positions): which are
           tokens; None for a block of which this is False
    """

    function: Function
    before: tuple[tuple[Step, ...], ...]
    base: int = 0
    masks: tuple[bool, ...] = ()

    def run(self, *tiles: Tile) -> Tile:
        blocks = [through(steps, tile) for steps, tile in zip(self.before, tiles, strict=True)]
        given = [block.values for block in blocks]
        if self.masks:
            pairs = zip(self.masks, blocks, strict=True)
            values = self.function(*given, masks=[there(b) if yes else None for yes, b in pairs])
        else:
            values = self.function(*given)
        values = np.ascontiguousarray(values, dtype=np.float32)
        return replace(blocks[self.base], values=values)


def there(tile: Tile) -> np.ndarray:
    """bool (rows, positions): which positions of a block are tokens."""
    mask: np.ndarray = np.arange(tile.values.shape[1]) < tile.valid[:, None]
    return mask


def through(steps: Sequence[Step], tile: Tile) -> Tile:
    for step in steps:
        tile = step.run(tile)
    return tile


def expanded(node: Node, signal: Signal) -> tuple[list[Step], Shape]:
    """The steps from what arrives to a block, and its shape."""
    if signal.kind == "block":
        return [], signal.shape
    if signal.kind == "bag":
        steps, signal = laid_out(node, signal)
        return [*steps, Narrow(signal.width)], (signal.width,)
    if signal.kind == "vector":
        return [Narrow(signal.width)], (signal.width,)
    steps, signal = looked_up(node, signal)
    return [*steps, Expand(signal.length, signal.width)], (signal.length, signal.width)


def laid_out(node: Node, signal: Signal) -> tuple[list[Step], Signal]:
    """A bag of words as a vector, for a layer that cannot count words itself."""
    if signal.spec is None or signal.width > MOST_COLUMNS:
        raise refuse(node.layer, f"reads no bag of words of more than {MOST_COLUMNS:,} columns")
    return [LayOut(signal.spec, signal.unit)], Signal("vector", width=signal.width)


def on_blocks(
    node: Node, function: Function, *signals: Signal, masks: tuple[bool, ...] = ()
) -> Built:
    """`function` of what arrives, as blocks; what leaves has the shape that `node.spec` says."""
    before = tuple(tuple(expanded(node, signal)[0]) for signal in signals)
    base = next((i for i, signal in enumerate(signals) if _has_tokens(signal)), 0)
    return leaving(node, [Apply(function, before, base, masks)])


def leaving(node: Node, steps: Sequence[Step]) -> Built:
    """What a block is to the next layer: of one dimension, a vector."""
    shape = node.spec.shape
    width = shape[-1] if shape else None
    if len(shape) == 1 and width is not None:
        return [*steps, Widen()], Signal("vector", width=width)
    return steps, Signal("block", width=width or 0, masked=node.spec.masked, shape=shape)


def _has_tokens(signal: Signal) -> bool:
    """Whether a tile's `valid` counts tokens that a layer after it may need to know."""
    open_block = signal.kind == "block" and None in signal.shape
    return signal.masked or open_block or (signal.kind == "sequence" and signal.length is None)


def as_sequence(node: Node, signal: Signal) -> tuple[list[Step], Signal]:
    """A block of vectors as a sequence, for the layers that know those alone."""
    if signal.kind != "block":
        return [], signal
    if len(signal.shape) != 2:
        raise refuse(node.layer, f"has no such layer over {len(signal.shape)} dimensions")
    length, width = signal.shape
    after = Signal("sequence", width=width or 0, masked=signal.masked, length=length)
    return [Collapse(length is None)], after


def everywhere(builder: Builder) -> Builder:
    """A layer that works on the last dimension alone, for blocks and bags of words as well."""

    def build(node: Node, signal: Signal) -> Built:
        if signal.kind == "bag":
            first, signal = laid_out(node, signal)
            steps, signal = builder(node, signal)
            return [*first, *steps], signal
        if signal.kind != "block":
            return builder(node, signal)
        if not signal.width:
            raise refuse(node.layer, "has no such layer on single numbers")
        steps, after = builder(node, Signal("vector", width=signal.width))
        shape = (*signal.shape[:-1], after.width)
        return [Widen(every=True), *steps, Fold(shape)], replace(
            signal, width=after.width, shape=shape
        )

    return build
