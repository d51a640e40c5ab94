"""From Keras layers to steps: what flows between them, and who builds which.

A layer is added by writing a builder and registering it:

    @builds("MyLayer")
    def _my_layer(layer: Layer, signal: Signal) -> Built:
        ...check the settings, refuse what is not supported, prepare the weights...
        return [MyStep(...)], replace(signal, width=...)

`signal` says what arrives; the builder returns the steps that work on it (none, for Dropout), and
what leaves. This package's __init__ imports every module that has builders.

Padding. Keras pads the rows of a batch to one length with id 0. A layer that heeds the mask skips
those positions; a layer that does not reads them as tokens, which load_engine allows only where the
length is fixed (`Signal.length`). A tile stores no padding: a row's positions past its stored ones
all equal the last stored one, because everything that a layer computes from padding alone is the
same everywhere. So where the length is fixed, a sequence stores one padded position at most.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from scorer.bundle import Branch, Bundle, Layer
from scorer.errors import UnsupportedModel
from scorer.vectorizer import VectorizerSpec

#: the largest table (ids x what follows) into which the weights after an Embedding are folded
FOLD_BYTES = 64 << 20


@dataclass(frozen=True, eq=False)
class Signal:
    """What flows between two layers.

    kind       "tokens" (ids of an int vectorizer), "bag" (ids to be counted), "sequence", "vector"
    width      columns of a sequence or vector
    masked     the padding carries Keras' mask
    length     the fixed number of positions, padding included; None if rows keep their own length
    embedding  float32 (ids, width): tokens that the next layer is to look up
    spec       the vectorizer, where kind is "bag"
    unit       the bag is brought to length 1
    pending    the step that makes the sequence; the next layer may take in its work
    """

    kind: str
    width: int = 0
    masked: bool = False
    length: int | None = None
    embedding: np.ndarray | None = None
    spec: VectorizerSpec | None = None
    unit: bool = False
    pending: Step | None = None


@dataclass(frozen=True, eq=False)
class Tile:
    """Some rows on their way through the steps, those with most tokens first.

    ids     int32 (total,), token ids; empty once `values` is a sequence or vector
    starts  int64 (rows,), where a row begins in ids or in the sequence
    stored  int64 (rows,), how many positions of it are there
    valid   int64 (rows,), how many tokens it has: the positions that a mask keeps
    values  float32 (positions, ld) or, one vector a row, (rows, ld); ld is in whole vectors
    """

    ids: np.ndarray
    starts: np.ndarray
    stored: np.ndarray
    valid: np.ndarray
    values: np.ndarray


class Step(Protocol):
    """One or more layers at work. `run` is thread-safe: whatever changes lives in the tile."""

    def run(self, tile: Tile) -> Tile: ...


@dataclass(frozen=True)
class BranchPlan:
    """The steps of a branch; `width` columns of the last vector count.

    position_bytes: of the widest sequence that a step makes, for the choice of the tile's size.
    """

    steps: tuple[Step, ...]
    width: int
    position_bytes: int


@dataclass(frozen=True)
class Plan:
    """The branches of a model, what their vectors are merged by, and the steps after that.

    merge: "Concatenate" or "Add"; None for one branch, which has no head.
    """

    branches: tuple[BranchPlan, ...]
    merge: str | None
    head: tuple[Step, ...]
    outputs: int


Built = tuple[Sequence[Step], Signal]
Builder = Callable[[Layer, Signal], Built]
_BUILDERS: dict[str, Builder] = {}
_TAKE_PENDING: set[str] = set()  # layers whose builders look at `Signal.pending`


def builds(*kinds: str, takes_pending: bool = False) -> Callable[[Builder], Builder]:
    """Register the builder of these Keras layers. One that does not take a pending step in never
    sees it: the step is done before."""

    def register(builder: Builder) -> Builder:
        _BUILDERS.update(dict.fromkeys(kinds, builder))
        _TAKE_PENDING.update(kinds if takes_pending else ())
        return builder

    return register


def refuse(layer: Layer, why: str) -> UnsupportedModel:
    """The error for a layer that this engine cannot run; raise it."""
    return UnsupportedModel(f"layer {layer.name} ({layer.kind}): the cpu engine {why}")


def needs_sequence(layer: Layer, signal: Signal) -> None:
    """Refuse a layer that works along positions where there are none."""
    if signal.kind != "sequence" and signal.embedding is None:
        raise refuse(layer, f"expects a sequence, not {signal.kind}")


def spread(tile: Tile, steps: np.ndarray, length: int | None) -> Tile:
    """`tile` with the places of a sequence of which each row stores `steps` positions and, where
    the length is fixed and greater, one more for all its padding. Its values are still to come."""
    stored = steps if length is None else np.minimum(steps + 1, length)
    return replace(tile, starts=np.cumsum(stored) - stored, stored=stored)


def one_each(vectors: np.ndarray) -> Tile:
    """A tile of one vector a row: float32 (rows, ld)."""
    each = np.ones(len(vectors), dtype=np.int64)
    return Tile(np.zeros(0, np.int32), np.arange(len(vectors)), each, each, vectors)


def build_plan(bundle: Bundle) -> Plan:
    """Turn a bundle's layers into steps. Raises UnsupportedModel naming the layer and why."""
    branches = tuple(_branch_plan(branch) for branch in bundle.branches)
    widths = [branch.width for branch in branches]
    if not bundle.head:
        return Plan(branches, None, (), widths[0])
    merge, *layers = bundle.head
    width = widths[0] if merge.kind == "Add" else sum(widths)
    steps, signal, _ = _chain(layers, Signal("vector", width=width))
    return Plan(branches, merge.kind, steps, signal.width)


def _branch_plan(branch: Branch) -> BranchPlan:
    spec = branch.vectorizer
    if spec.output_mode == "int":
        signal = Signal("tokens", length=spec.output_sequence_length)
    else:
        signal = Signal("bag", width=spec.columns, spec=spec)
    steps, signal, position_bytes = _chain(branch.layers, signal)
    if signal.kind != "vector":
        raise refuse(branch.layers[-1], "needs one vector a row at the end, not a sequence")
    return BranchPlan(steps, signal.width, position_bytes)


def _chain(layers: Sequence[Layer], signal: Signal) -> tuple[tuple[Step, ...], Signal, int]:
    """The steps of layers one after another, what leaves them, and the widest position's bytes."""
    steps: list[Step] = []
    position_bytes = 0
    for layer in layers:
        builder = _BUILDERS.get(layer.kind)
        if builder is None:
            raise refuse(layer, "has no such layer")
        if signal.pending is not None and layer.kind not in _TAKE_PENDING:
            steps.append(signal.pending)
            position_bytes = max(position_bytes, 4 * signal.width)
            signal = replace(signal, pending=None)
        built, signal = builder(layer, signal)
        steps.extend(built)
        if signal.kind == "sequence" and signal.pending is None:
            position_bytes = max(position_bytes, 4 * signal.width)
    return tuple(steps), signal, position_bytes
