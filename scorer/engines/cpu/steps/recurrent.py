"""LSTM, GRU, SimpleRNN, and Bidirectional around them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from scorer.bundle import Node
from scorer.engines.cpu.loops.recurrence import FIELDS, Cell
from scorer.engines.cpu.loops.rows import Rows
from scorer.engines.cpu.loops.simd import empty, padded, zeros
from scorer.engines.cpu.loops.vectors import COLUMNS
from scorer.engines.cpu.signals import Built, Signal, Tile, refuse, spread
from scorer.engines.cpu.steps.cells import Loop, cell_of, loop_of
from scorer.engines.cpu.steps.folding import Folded

_MERGES: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    "sum": lambda forward, backward: forward + backward,
    "mul": lambda forward, backward: forward * backward,
    "ave": lambda forward, backward: (forward + backward) / np.float32(2),
}
_NO_STARTS = np.zeros(0, dtype=np.int64)


@dataclass(frozen=True, eq=False)
class Direction:
    """A cell at work on the rows of a tile, from the first position to the last or back."""

    loop: Loop
    cell: Cell

    def run(
        self,
        rows: Rows,
        values: np.ndarray,
        column: int,
        starts: np.ndarray,
        begin: np.ndarray | None = None,
    ) -> np.ndarray:
        """Fill `values`, float32 (rows or positions, ld), as the loop's `out` and `out_starts` say.

        begin    float32 (kept, rows, padded(units)): what rows begin with, else zeros
        returns  the same at their ends, but for h, which went to `values`
        """
        count, wide = len(rows.steps), padded(self.cell.units)
        states = zeros(self.loop.buffers * count + 1, wide)
        kept = states[:-1].reshape(self.loop.buffers, count, wide)
        if begin is not None:
            kept[list(self.loop.kept)] = begin
        table = np.empty((FIELDS, count + self.loop.rows), dtype=np.int64)
        z = empty(self.loop.rows, COLUMNS)
        self.loop.kernel(rows, self.cell, states, table, z, values, column, starts)
        return kept[list(self.loop.kept)]

    def after_padding(self, padding: int, length: int) -> np.ndarray:
        """float32 (kept, length + 1, padded(units)): what is kept after so many padding ids."""
        one = np.ones(1, dtype=np.int64)
        rows = Rows(True, np.full(1, padding, dtype=np.int32), one - 1, one, one)
        h = zeros(1, padded(self.cell.units))
        states = zeros(len(self.loop.kept), length + 1, h.shape[1])
        for k in range(length):
            ends = self.run(rows, h, 0, _NO_STARTS, states[:, k : k + 1])
            ends[0] = h
            states[:, k + 1 : k + 2] = ends
        return states


@dataclass(frozen=True, eq=False)
class Recurrent:
    """One direction, or two that are merged.

    folded     the tables of the cells that have one
    tokens     reads token ids, else a sequence
    masked     reads a row's tokens alone, else all `length` positions
    padding    the id that fills rows up
    merge      "concat", "sum", "mul" or "ave"
    sequences  gives every state, not the last alone
    flipped    gives them in the order in which they are made, though it reads backwards
    zero       what a masked position of a sequence gives: zeros, else the last state again
    inner      gives the last cell states of an LSTM, in place of its outputs
    """

    loop: Loop
    cells: tuple[Cell, ...]
    folded: tuple[Folded, ...]
    tokens: bool
    masked: bool
    length: int | None
    padding: int
    merge: str
    sequences: bool
    flipped: bool
    zero: bool
    inner: bool = False

    def run(self, *tiles: Tile) -> Tile:
        tile, *begun = tiles
        for folded in self.folded:
            folded.meet(tile.ids)
        rows = len(tile.starts)
        steps = tile.valid if self.masked else np.full(rows, self.length, dtype=np.int64)
        if self.sequences:
            stored = steps if not self.flipped else np.full(rows, self.length, dtype=np.int64)
            tile_out = spread(tile, stored, self.length)
        else:
            tile_out = replace(tile, starts=np.arange(rows), stored=np.ones(rows, dtype=np.int64))
        values = self._states(tile, steps, tile_out, self._begin(begun))
        if not self.sequences:
            values[steps == 0] = 0
        elif self.flipped:
            values = self._flipped(values, steps)
        else:
            self._fill_masked(values, tile_out, steps)
        return replace(tile_out, values=self._merged(values))

    def _begin(self, tiles: Sequence[Tile]) -> np.ndarray | None:
        """The states that rows begin with, as `Direction.run` takes them, from one tile each."""
        if not tiles:
            return None
        units = self.cells[0].units
        states = zeros(len(tiles), len(tiles[0].values), padded(units))
        for state, tile in zip(states, tiles, strict=True):
            state[:, :units] = tile.values[:, :units]
        return states

    def _states(
        self, tile: Tile, steps: np.ndarray, places: Tile, begin: np.ndarray | None
    ) -> np.ndarray:
        """float32 (positions or rows, ld): the directions' outputs side by side."""
        units = self.cells[0].units
        ld = padded((len(self.cells) - 1) * units + padded(units))
        values = empty(int(places.stored.sum()), ld)
        source = Rows(self.tokens, tile.ids, tile.starts, tile.stored, steps)
        starts = places.starts if self.sequences else _NO_STARTS
        # A direction writes whole vectors, past its units; the next one writes over that.
        for i, cell in enumerate(self.cells):
            if self.tokens and not self.masked:
                self._after_padding(i, source, values, starts)
                continue
            cell = cell if self.tokens else cell._replace(x=tile.values)
            ends = Direction(self.loop, cell).run(source, values, i * units, starts, begin)
            if self.inner:
                values[:, i * units : i * units + ends.shape[2]] = ends[1]
        return values

    def _after_padding(
        self, number: int, rows: Rows, values: np.ndarray, starts: np.ndarray
    ) -> None:
        """Run a direction of which each row begins behind the padding that it would read first.

        All rows read the same there, so the states that it leaves are computed once. What follows
        is computed as it would be, to the bit.
        """
        cell, states = self.cells[number], self._padding_states[number]
        wide, column = states.shape[2], number * cell.units
        skip = _padding_first(rows, self.padding, reverse=cell.reverse)
        order = np.argsort(skip, kind="stable")
        skip = skip[order]
        moved = 0 if cell.reverse else skip
        source = Rows(
            True,
            rows.ids,
            rows.starts[order] + moved,
            rows.stored[order] - moved,
            rows.steps[order] - skip,
        )
        begin = states[:, skip]
        direction = Direction(self.loop, cell)
        if not starts.size:
            last = begin[0].copy()
            ends = direction.run(source, last, 0, starts, begin)
            values[order, column : column + wide] = ends[1] if self.inner else last
            return
        direction.run(source, values, column, starts[order] + moved, begin)
        for start, k in zip(starts[order], skip, strict=True):
            first = start + int(rows.steps[0]) - k if cell.reverse else start
            made = states[0, 1 : k + 1]
            values[first : first + k, column : column + wide] = made[::-1] if cell.reverse else made

    @cached_property
    def _padding_states(self) -> list[np.ndarray]:
        """Of each direction. Threads that come first at once compute the same."""
        directions = [Direction(self.loop, cell) for cell in self.cells]
        return [each.after_padding(self.padding, self.length or 0) for each in directions]

    def _flipped(self, values: np.ndarray, steps: np.ndarray) -> np.ndarray:
        """All positions of rows of fixed length, last first; zeros where the mask was off."""
        by_row = values.reshape(len(steps), -1, values.shape[1])
        by_row[np.arange(by_row.shape[1]) >= steps[:, None]] = 0
        return np.ascontiguousarray(by_row[:, ::-1]).reshape(values.shape)

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


def _padding_first(rows: Rows, padding: int, *, reverse: bool) -> np.ndarray:
    """int64 (rows,): how much padding each row of tokens reads before its first other id."""
    length = int(rows.steps[0]) if len(rows.steps) else 0
    position = np.arange(length)
    position = position[::-1] if reverse else position
    there = position < rows.stored[:, None]
    at = np.where(there, rows.starts[:, None] + position, 0)
    ids = np.where(there, rows.ids[at] if rows.ids.size else 0, 0)
    other = ids != padding
    first: np.ndarray = np.where(other.any(axis=1), other.argmax(axis=1), length)
    return first


def recurrent(node: Node, signal: Signal, *begun: Signal) -> Built:
    """LSTM, GRU or SimpleRNN, and the states that it begins with."""
    layer = node.layer
    settings = layer.settings
    backwards = bool(settings["go_backwards"])
    if backwards and settings["return_sequences"] and signal.length is None:
        raise refuse(
            layer,
            "runs go_backwards=True with return_sequences=True only where rows have a fixed length",
        )
    loop = loop_of(layer, layer.kind, settings)
    cell = cell_of(loop, settings, layer.weights, signal, reverse=backwards)
    step = _step(settings, signal, loop, [cell])
    return _built(replace(step, zero=bool(settings["zero_output_for_mask"])), signal)


def bidirectional(node: Node, signal: Signal) -> Built:
    layer = node.layer
    inner = layer.settings["layer"]
    loop = loop_of(layer, inner.kind, inner.settings)
    if inner.settings["go_backwards"]:
        raise refuse(layer, "expects the forward layer to have go_backwards=False")
    half = len(layer.weights) // 2
    cells = [
        cell_of(loop, inner.settings, layer.weights[:half], signal, reverse=False),
        cell_of(loop, inner.settings, layer.weights[half:], signal, reverse=True),
    ]
    # Keras makes both directions give zeros where the mask is off, if they return sequences.
    step = _step(inner.settings, signal, loop, cells)
    return _built(replace(step, merge=layer.settings["merge_mode"], zero=True), signal)


def _step(
    settings: Mapping[str, Any],
    signal: Signal,
    loop: Loop,
    made: Sequence[tuple[Cell, Folded | None]],
) -> Recurrent:
    sequences = bool(settings["return_sequences"])
    cells = tuple(cell for cell, _ in made)
    return Recurrent(
        loop=loop,
        cells=cells,
        folded=tuple(folded for _, folded in made if folded is not None),
        tokens=signal.kind == "tokens",
        masked=signal.masked,
        length=signal.length,
        padding=signal.padding.value,
        merge="concat",
        sequences=sequences,
        flipped=sequences and len(cells) == 1 and cells[0].reverse,
        zero=False,
        inner=bool(settings.get("return_state")),
    )


def _built(step: Recurrent, signal: Signal) -> Built:
    width = step.cells[0].units * (len(step.cells) if step.merge == "concat" else 1)
    if not step.sequences:
        return [step], Signal("vector", width=width)
    return [step], replace(signal, kind="sequence", width=width, embedding=None, look_up=None)
