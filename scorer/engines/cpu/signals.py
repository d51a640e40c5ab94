"""What flows between steps, when they are planned (Signal) and when they run (Tile).

Padding. Keras pads the rows of a batch to one length with id 0. A layer that heeds the mask skips
those positions; a layer that does not reads them as tokens, which load_engine allows only where the
length is fixed (`Signal.length`). A tile stores no padding: a row's positions past its stored ones
all equal the last stored one, because everything that a layer computes from padding alone is the
same everywhere. So where the length is fixed, a sequence stores one padded position at most.

Blocks. What is neither vector nor sequence (reshaped, attended to, planes of an image) is a block:
float32 (rows, *shape), every number there, padding included. Where the number of positions is open,
a tile's rows have equally many tokens, so that a block of them needs no padding either.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

import numpy as np

from scorer.bundle import Layer, Node
from scorer.errors import UnsupportedModel
from scorer.vectorizer import Padding, VectorizerSpec

Shape = tuple[int | None, ...]
#: the largest table (ids x what follows) into which the weights after an Embedding are folded
FOLD_BYTES = 64 << 20


@dataclass(frozen=True, eq=False)
class Tile:
    """Some rows on their way through the steps, those with most tokens first.

    ids     int32 (total,), token ids; empty once `values` is a sequence or vector
    starts  int64 (rows,), where a row begins in ids or in the sequence
    stored  int64 (rows,), how many positions of it are there
    valid   int64 (rows,), how many tokens it has: the positions that a mask keeps
    values  float32 (positions, ld) or, one vector a row, (rows, ld); ld is in whole vectors. Of a
            block float32 (rows, *shape)
    """

    ids: np.ndarray
    starts: np.ndarray
    stored: np.ndarray
    valid: np.ndarray
    values: np.ndarray


class Step(Protocol):
    """One or more layers at work. `run` is thread-safe: whatever changes lives in the tile.

    A step that writes into `values` of the tile it is given has `in_place = True`.
    """

    def run(self, *tiles: Tile) -> Tile: ...


@dataclass(frozen=True, eq=False)
class Signal:
    """What flows between two layers.

    kind       "tokens" (ids of an int vectorizer), "bag" (ids to be counted), "sequence", "vector",
               "block"
    width      columns of a sequence or vector; the last dimension of a block
    ids        how many different ids tokens have
    masked     the padding carries Keras' mask
    length     the fixed number of positions, padding included; None if rows keep their own length
    padding    how rows are filled up to it
    embedding  float32 (ids, width): tokens that the next layer is to look up
    look_up    the step that does so, for a layer that needs a sequence
    spec       the vectorizer, where kind is "bag"
    unit       the bag is brought to length 1
    pending    the step that makes the sequence; the next layer may take in its work
    shape      of a block for one row; its first dimension is None where it counts a row's tokens
    """

    kind: str
    width: int = 0
    ids: int = 0
    masked: bool = False
    length: int | None = None
    padding: Padding = field(default_factory=Padding)
    embedding: np.ndarray | None = None
    look_up: Step | None = None
    spec: VectorizerSpec | None = None
    unit: bool = False
    pending: Step | None = None
    shape: Shape = ()


#: the steps that work one after another on what arrives (the first on all of it), and what leaves
Built = tuple[Sequence[Step], Signal]
#: the node and what arrives from each of its inputs, to steps
Builder = Callable[..., Built]


def refuse(layer: Layer, why: str) -> UnsupportedModel:
    """The error for a layer that this engine cannot run; raise it."""
    return UnsupportedModel(f"layer {layer.name} ({layer.kind}): the cpu engine {why}")


def looked_up(node: Node, signal: Signal) -> tuple[list[Step], Signal]:
    """Turn tokens into a sequence for a layer that needs one."""
    if signal.look_up is not None:
        after = replace(signal, kind="sequence", embedding=None, look_up=None)
        return [signal.look_up], after
    if signal.kind != "sequence":
        raise refuse(node.layer, f"expects a sequence, not {signal.kind}")
    return [], signal


def positionwise(node: Node, signal: Signal) -> tuple[list[Step], Signal]:
    """The same for a layer that takes a vector as well, or one at each position."""
    return ([], signal) if signal.kind == "vector" else looked_up(node, signal)


def spread(tile: Tile, steps: np.ndarray, length: int | None) -> Tile:
    """`tile` with the places of a sequence of which each row stores `steps` positions and, where
    the length is fixed and greater, one more for all its padding. Its values are still to come."""
    stored = steps if length is None else np.minimum(steps + 1, length)
    return replace(tile, starts=np.cumsum(stored) - stored, stored=stored)


def one_each(vectors: np.ndarray) -> Tile:
    """A tile of one vector a row: float32 (rows, ld)."""
    each = np.ones(len(vectors), dtype=np.int64)
    return Tile(np.zeros(0, np.int32), np.arange(len(vectors)), each, each, vectors)
