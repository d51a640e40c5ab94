"""The cpu engine: a bundle's network on one core a call, without Keras and without BLAS.

    plan.py program.py
                 an annotated network to steps over registers
    table.py     Keras layer -> its builder, and what is lacking
    signals.py   what flows between steps
    steps/       what each layer does to a tile of rows
    loops/       the compiled loops behind the steps, and the vector code inside them

A call takes rows as they come. Each input sorts them by its own lengths and runs tiles of them
through its program to vectors, one a row; these, in the rows' own order, go through the program of
all that depends on several inputs. Results do not depend on the tile: see loops/simd.py.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from scorer.bundle import Bundle, Input
from scorer.compiling.kernel import rehearsal
from scorer.engines.cpu.loops.simd import padded, zeros
from scorer.engines.cpu.loops.vectors import ROWS
from scorer.engines.cpu.plan import Plan, build_plan
from scorer.engines.cpu.program import Program
from scorer.engines.cpu.signals import Tile, one_each
from scorer.vectorizer import TokenBatch

#: Rows of a tile: enough that its blocks are mostly full, few enough that its states stay in the
#: cache. Where a sequence is kept between two layers, it should fit the cache as well, unless that
#: leaves too few rows; then it may have MOST_BYTES.
TILE_ROWS = 128 // ROWS * ROWS
LEAST_ROWS = 48
TILE_BYTES = 2 << 20
MOST_BYTES = 16 << 20

_NOTHING = np.zeros((0, 0), dtype=np.float32)


class CpuEngine:
    """Runs a bundle's layers. Thread-safe; a call uses one core and holds no GIL in its kernels."""

    name = "cpu"
    precision = "float32"
    window_rows = 1024
    short_rows = 8192

    def __init__(self, bundle: Bundle) -> None:
        """Prepare the weights, and compile or load the kernels.

        Raises UnsupportedModel naming layer and setting.
        """
        words = list(map(_one_word, bundle.inputs))
        with rehearsal():
            self._plan: Plan = build_plan(bundle)
            self.run(*words)
        self._plan = build_plan(bundle)
        self.run(*words)

    def run(self, *inputs: TokenBatch | np.ndarray) -> np.ndarray:
        """float32 (rows, outputs), rows in their order.

        inputs: of each of the bundle's, a TokenBatch, or float32 (rows, width) of numbers.
        """
        pairs = zip(self._plan.inputs, inputs, strict=True)
        vectors = [_run_input(program, given) for program, given in pairs]
        last = vectors[0]
        if self._plan.head is not None:
            given = [one_each(vectors[program][export]) for program, export in self._plan.joined]
            last = [_run_head(self._plan.head, given)]
        return np.ascontiguousarray(last[-1][:, : self._plan.outputs])


def _one_word(given: Input) -> TokenBatch | np.ndarray:
    """One row of an input."""
    if given.vectorizer is None:
        return np.zeros((1, given.spec.width), np.float32)
    one = np.ones(1, dtype=np.int32)
    return TokenBatch(ids=one, offsets=np.array([0, 1]), n_tokens=one, n_oov=one)


def _run_input(program: Program, given: TokenBatch | np.ndarray) -> list[np.ndarray]:
    """Each of the program's exports, float32 (rows, ld), rows in their order."""
    if isinstance(given, np.ndarray):
        values = zeros(len(given), padded(given.shape[1]))
        values[:, : given.shape[1]] = given
        return [tile.values for tile in program.run([one_each(values)])]
    kept = np.diff(given.offsets)
    order = np.argsort(-kept, kind="stable")
    vectors = [zeros(len(kept), padded(width)) for _, width in program.exports]
    ids = np.require(given.ids, np.int32, ["C", "W"])
    first = 0
    while first < len(order):
        rows = order[first : first + _tile_rows(program, int(kept[order[first]]))]
        if program.uniform:
            rows = rows[kept[rows] == kept[rows[0]]]
        tile = Tile(ids, given.offsets[rows], kept[rows], kept[rows], _NOTHING)
        if program.uniform and not tile.valid[0]:
            tile = _one_padding(tile)
        for vector, (_, width), end in zip(
            vectors, program.exports, program.run([tile]), strict=True
        ):
            vector[rows, :width] = end.values[:, :width]
        first += len(rows)
    return vectors


def _one_padding(tile: Tile) -> Tile:
    """Rows without a token as Keras reads them: with one position, which is padding."""
    starts, one = np.zeros_like(tile.starts), np.ones_like(tile.stored)
    return replace(tile, ids=np.zeros(1, np.int32), starts=starts, stored=one)


def _run_head(program: Program, given: list[Tile]) -> np.ndarray:
    """The output, float32 (rows, ld); where there are blocks, for some rows at a time."""
    count = len(given[0].values)
    some = count if not program.row_bytes else _tile_rows(program, 0)
    parts = []
    for first in range(0, max(count, 1), max(some, 1)):
        rows = slice(first, first + some)
        tiles = [one_each(tile.values[rows]) for tile in given]
        parts.append(program.run(tiles)[-1].values)
    return parts[0] if len(parts) == 1 else np.concatenate(parts)


def _tile_rows(program: Program, longest: int) -> int:
    """How many rows the next tile takes, its longest having that many tokens."""
    row_bytes = max(longest * program.position_bytes + program.row_bytes, 1)
    rows = max(TILE_BYTES // row_bytes, min(LEAST_ROWS, MOST_BYTES // row_bytes), 1)
    return min(rows, TILE_ROWS)
