"""LSTM and Bidirectional(LSTM)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from scorer.bundle import Layer, Node
from scorer.engines.cpu import kernels
from scorer.engines.cpu.compiled import Rows
from scorer.engines.cpu.gates import GATE_SCALE
from scorer.engines.cpu.kernels import Cell
from scorer.engines.cpu.products import multiply
from scorer.engines.cpu.signals import FOLD_BYTES, Built, Signal, Tile, refuse, spread
from scorer.engines.cpu.simd import empty, pack, padded, zeros
from scorer.engines.cpu.vectors import COLUMNS, GATES, LANES, ROWS

_MERGES: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    "sum": lambda forward, backward: forward + backward,
    "mul": lambda forward, backward: forward * backward,
    "ave": lambda forward, backward: (forward + backward) / np.float32(2),
}
_NO_STARTS = np.zeros(0, dtype=np.int64)
_NO_INPUT = np.zeros((1, 1), dtype=np.float32)


@dataclass(frozen=True, eq=False)
class Lstm:
    """One direction, or two that are merged.

    tokens     reads token ids, else a sequence
    masked     reads a row's tokens alone, else all `length` positions
    merge      "concat", "sum", "mul" or "ave"
    sequences  gives every state, not the last alone
    zero       what a masked position of a sequence gives: zeros, else the last state again
    """

    cells: tuple[Cell, ...]
    tokens: bool
    masked: bool
    length: int | None
    merge: str
    sequences: bool
    zero: bool

    def run(self, *tiles: Tile) -> Tile:
        (tile,) = tiles
        rows = len(tile.starts)
        steps = tile.valid if self.masked else np.full(rows, self.length, dtype=np.int64)
        if self.sequences:
            tile_out = spread(tile, steps, self.length)
        else:
            tile_out = replace(tile, starts=np.arange(rows), stored=np.ones(rows, dtype=np.int64))
        values = self._states(tile, steps, tile_out)
        if self.sequences:
            self._fill_masked(values, tile_out, steps)
        else:
            values[steps == 0] = 0
        return replace(tile_out, values=self._merged(values))

    def _states(self, tile: Tile, steps: np.ndarray, places: Tile) -> np.ndarray:
        """float32 (positions or rows, ld): the directions' outputs side by side."""
        units, rows = self.cells[0].units, len(steps)
        wide = padded(units)
        ld = padded((len(self.cells) - 1) * units + wide)
        values = empty(int(places.stored.sum()), ld)
        table = np.empty((7, rows + ROWS), dtype=np.int64)
        z = empty(ROWS, COLUMNS)
        source = Rows(self.tokens, tile.ids, tile.starts, tile.stored, steps)
        starts = places.starts if self.sequences else _NO_STARTS
        # A direction writes whole vectors, past its units; the next one writes over that.
        for i, cell in enumerate(self.cells):
            cell = cell if self.tokens else cell._replace(x=tile.values)
            states = zeros(3 * rows, wide)
            kernels.lstm(source, cell, states, table, z, values, i * units, starts)
        return values

    def _fill_masked(self, values: np.ndarray, places: Tile, steps: np.ndarray) -> None:
        """Give the one masked position that a row of fixed length stores its value."""
        short = places.stored > steps
        at = (places.starts + steps)[short]
        if self.zero:
            values[at] = 0
        else:
            values[at] = np.where(steps[short, None] > 0, values[np.maximum(at - 1, 0)], 0)

    def _merged(self, values: np.ndarray) -> np.ndarray:
        units = self.cells[0].units
        if len(self.cells) == 1 or self.merge == "concat":
            return values
        merged = zeros(len(values), padded(units))
        halves = values[:, :units], values[:, units : 2 * units]
        merged[:, :units] = _MERGES[self.merge](*halves)
        return merged


def lstm(node: Node, signal: Signal) -> Built:
    layer = node.layer
    _check(layer, layer.settings)
    if layer.settings["go_backwards"] and layer.settings["return_sequences"]:
        raise refuse(layer, "does not run go_backwards=True with return_sequences=True")
    cell = _cell(layer.weights, signal, bool(layer.settings["go_backwards"]))
    zero = bool(layer.settings["zero_output_for_mask"])
    return _built(layer.settings, signal, (cell,), "concat", zero=zero)


def bidirectional(node: Node, signal: Signal) -> Built:
    layer = node.layer
    inner = layer.settings["layer"]
    if inner.kind != "LSTM":
        raise refuse(layer, f"does not run Bidirectional({inner.kind})")
    _check(layer, inner.settings)
    if inner.settings["go_backwards"]:
        raise refuse(layer, "expects the forward layer to have go_backwards=False")
    half = len(layer.weights) // 2
    cells = (
        _cell(layer.weights[:half], signal, False),
        _cell(layer.weights[half:], signal, True),
    )
    # Keras makes both directions give zeros where the mask is off, if they return sequences.
    return _built(inner.settings, signal, cells, layer.settings["merge_mode"], zero=True)


def _check(layer: Layer, settings: dict[str, object]) -> None:
    if settings["activation"] != "tanh" or settings["recurrent_activation"] != "sigmoid":
        raise refuse(layer, "runs activation='tanh' and recurrent_activation='sigmoid' alone")


def _built(
    settings: dict[str, object], signal: Signal, cells: tuple[Cell, ...], merge: str, *, zero: bool
) -> Built:
    sequences = bool(settings["return_sequences"])
    width = cells[0].units * (len(cells) if merge == "concat" else 1)
    step = Lstm(
        cells, signal.kind == "tokens", signal.masked, signal.length, merge, sequences, zero
    )
    if not sequences:
        return [step], Signal("vector", width=width)
    return [step], replace(signal, kind="sequence", width=width, embedding=None, look_up=None)


def _cell(weights: Sequence[np.ndarray], signal: Signal, reverse: bool) -> Cell:
    """Scale and pack one direction's weights; fold the input's into a table if that is small."""
    kernel, recurrent, *rest = weights
    units = len(recurrent)
    bias = rest[0] if rest else np.zeros(4 * units, dtype=np.float32)
    start = pack(_by_gate(bias[None])).reshape(1, -1)
    w, u = pack(_by_gate(kernel)), pack(_by_gate(recurrent))
    embedding = signal.embedding
    if embedding is not None and 4 * len(embedding) * start.size <= FOLD_BYTES:
        return Cell(multiply(embedding, w, start[0]), _NO_INPUT, 0, u, units, reverse)
    x = _NO_INPUT if embedding is None else np.ascontiguousarray(embedding)
    both = zeros(len(w), len(kernel) + units, GATES, LANES)
    both[:, : len(kernel)], both[:, len(kernel) :] = w, u
    return Cell(start, x, len(kernel), both, units, reverse)


def _by_gate(matrix: np.ndarray) -> np.ndarray:
    """(k, 4 units) -> float32 (k, 4, units), gates i, f, g, o scaled for simd's exp2."""
    gates: np.ndarray = matrix.reshape(len(matrix), GATES, -1) * GATE_SCALE[:, None]
    return gates.astype(np.float32)
