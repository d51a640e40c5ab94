"""What LSTM, GRU and SimpleRNN differ in: their loop, and how their weights are laid out for it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from scorer.bundle import Layer
from scorer.engines.cpu.loops import kernels, recurrence, unfused
from scorer.engines.cpu.loops.gates import GATE_SCALE, GRU_SCALE
from scorer.engines.cpu.loops.products import widen
from scorer.engines.cpu.loops.recurrence import Cell
from scorer.engines.cpu.loops.simd import pack_columns, padded, zeros
from scorer.engines.cpu.loops.vectors import COLUMNS, GATES, GRU_ROWS, LANES, ROWS
from scorer.engines.cpu.signals import FOLD_BYTES, Signal, refuse
from scorer.engines.cpu.steps.folding import Folded

_NO_INPUT = np.zeros((1, 1), dtype=np.float32)
_NO_BIAS = np.zeros(0, dtype=np.float32)

#: what the loops apply, by Keras' names
_ACTIVATIONS = {
    "linear": 0,
    "relu": kernels.RELU,
    "sigmoid": kernels.SIGMOID,
    "tanh": kernels.TANH,
    "hard_sigmoid": kernels.HARD_SIGMOID,
}
#: float (k, gates * units) to float32 (k, columns), in the order of the loop's blocks
Arrange = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True, eq=False)
class Loop:
    """A kernel of `recurrence` or `unfused`, and what it wants.

    kernel   runs one direction over a tile
    arrange  how it wants the columns of its weights
    vectors  of LANES columns that a block of weights has
    rows     of a block
    buffers  of `padded(units)` numbers that a row has in `states`
    kept     those of them that the next step reads: h, and what else there is
    """

    kernel: Callable[..., Any]
    arrange: Arrange
    vectors: int = GATES
    rows: int = ROWS
    buffers: int = 2
    kept: tuple[int, ...] = (1,)


def loop_of(layer: Layer, kind: str, settings: Mapping[str, Any]) -> Loop:
    """The loop that runs a recurrent layer. Raises UnsupportedModel."""
    activations = settings["activation"], settings.get("recurrent_activation", "linear")
    for name in activations:
        if name not in _ACTIVATIONS:
            raise refuse(layer, f"does not run the activation {name!r} inside a {kind}")
    if kind == "SimpleRNN":
        return Loop(unfused.simple, _in_blocks)
    fused = activations == ("tanh", "sigmoid")
    if kind == "LSTM":
        loop = recurrence.lstm if fused else unfused.lstm
        scale = GATE_SCALE if fused else np.ones(4)
        return Loop(loop, lambda matrix: _by_gate(matrix, scale), buffers=3, kept=(1, 2))
    if kind == "GRU" and settings["reset_after"]:
        loop = recurrence.gru if fused else unfused.gru
        scale = GRU_SCALE if fused else np.ones(3)
        return Loop(loop, lambda matrix: _by_gate(matrix, scale), vectors=3, rows=GRU_ROWS)
    if kind == "GRU":
        return Loop(unfused.gru_before, _gates_first, buffers=4)
    raise refuse(layer, f"does not run Bidirectional({kind})")


def cell_of(
    loop: Loop,
    settings: Mapping[str, Any],
    weights: Sequence[np.ndarray],
    signal: Signal,
    *,
    reverse: bool,
) -> tuple[Cell, Folded | None]:
    """Lay out one direction's weights; fold the input's into a table if that is small."""
    kernel, recurrent, *rest = weights
    units = len(recurrent)
    start, after = _biases(loop, rest[0] if rest else np.zeros(kernel.shape[1], np.float32), units)
    kinds = [
        _ACTIVATIONS[settings.get(n, "linear")] for n in ("activation", "recurrent_activation")
    ]
    w, u = loop.arrange(kernel), loop.arrange(recurrent)
    embedding = signal.embedding
    if embedding is not None and 4 * len(embedding) * start.size <= FOLD_BYTES:
        packed = pack_columns(w)
        wide = widen(start, packed.size // len(w))
        folded = Folded(embedding, packed, wide, signal.padding.value)
        own = _packed(u, loop.vectors)
        return Cell(folded.table, _NO_INPUT, 0, own, after, units, reverse, *kinds), folded
    x = _NO_INPUT if embedding is None else np.ascontiguousarray(embedding)
    both = _packed(np.concatenate([w, u]), loop.vectors)
    return Cell(start[None], x, len(w), both, after, units, reverse, *kinds), None


def _biases(loop: Loop, bias: np.ndarray, units: int) -> tuple[np.ndarray, np.ndarray]:
    """What z starts from, float32 (columns,), and a GRU's own for its new state.

    A GRU that resets after the product has a second row, which is added to h U: of its gates it
    does not matter where.
    """
    if bias.ndim == 1:
        own = zeros(padded(units)) if loop.vectors == 3 else _NO_BIAS
        return loop.arrange(bias[None])[0], own
    first, second = bias.astype(np.float64)
    first = first + np.where(np.arange(3 * units) < 2 * units, second, 0)
    # The last vector of each three is the new state's, scaled as its weights are.
    own = loop.arrange(second[None]).reshape(-1, 3, LANES)[:, 2]
    return loop.arrange(first[None])[0], widen(own.ravel(), padded(units))


def _packed(matrix: np.ndarray, vectors: int) -> np.ndarray:
    """(k, columns) to (blocks, k, vectors, LANES): a block's weights in the order of reading."""
    blocks = matrix.reshape(len(matrix), -1, vectors, LANES).transpose(1, 0, 2, 3)
    packed = zeros(*blocks.shape)
    packed[:] = blocks
    return packed


def _by_gate(matrix: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """LANES units of each gate, then the next; each gate times its scale."""
    gates = matrix.reshape(len(matrix), len(scale), -1) * scale[:, None]
    return _interleaved(gates.astype(np.float32))


def _gates_first(matrix: np.ndarray) -> np.ndarray:
    """A GRU's two gates by turns, in whole blocks; then the weights of its new state."""
    gates = matrix.reshape(len(matrix), 3, -1).astype(np.float32)
    first = _interleaved(gates[:, :2])
    return np.hstack([_in_blocks(first), _in_blocks(gates[:, 2])])


def _in_blocks(matrix: np.ndarray) -> np.ndarray:
    """float32, with zeros up to whole blocks of four vectors."""
    wide = np.zeros((len(matrix), padded(matrix.shape[1], COLUMNS)), dtype=np.float32)
    wide[:, : matrix.shape[1]] = matrix
    return wide


def _interleaved(gates: np.ndarray) -> np.ndarray:
    """(k, gates, units) to (k, columns): a vector of each gate's units, then of the next units."""
    k, count, units = gates.shape
    wide = np.zeros((k, count, padded(units)), dtype=np.float32)
    wide[:, :, :units] = gates
    return wide.reshape(k, count, -1, LANES).transpose(0, 2, 1, 3).reshape(k, -1)
