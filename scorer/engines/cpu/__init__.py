"""The cpu engine: a bundle's network on one core a call, without Keras and without BLAS.

    plan.py      layers to steps; the registry that a new layer joins
    embedding.py recurrent.py convolution.py pooling.py dense.py normalization.py
                 the steps, and what they must know of their Keras layers
    compiled.py kernels.py sequences.py
                 the compiled loops over a tile of rows
    simd.py      the register-blocked vector code inside them

A call takes rows as they come. Each branch sorts them by its own lengths and runs tiles of them
through its steps to one vector a row; the vectors, in the rows' own order, go through the head's
steps. Results do not depend on the tile: see simd.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce

import numpy as np

from scorer.bundle import Bundle
from scorer.compiling.kernel import rehearsal
from scorer.engines.cpu import (  # noqa: F401  (they register their layers)
    convolution,
    dense,
    embedding,
    normalization,
    pooling,
    recurrent,
)
from scorer.engines.cpu.plan import BranchPlan, Plan, Tile, build_plan, one_each
from scorer.engines.cpu.simd import ROWS, padded, zeros
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
        self._plan: Plan = build_plan(bundle)
        one = np.ones(1, dtype=np.int32)
        word = TokenBatch(ids=one, offsets=np.array([0, 1]), n_tokens=one, n_oov=one)
        words = [word] * len(bundle.branches)
        with rehearsal():
            self.run(*words)
        self.run(*words)

    def run(self, *tokens: TokenBatch) -> np.ndarray:
        """float32 (rows, outputs), rows in their order; `tokens` has a batch for each branch."""
        pairs = zip(self._plan.branches, tokens, strict=True)
        vectors = [_run_branch(branch, batch) for branch, batch in pairs]
        if self._plan.merge is None:
            return vectors[0]
        tile = one_each(_merged(self._plan.merge, vectors))
        for step in self._plan.head:
            tile = step.run(tile)
        return tile.values[:, : self._plan.outputs]


def _run_branch(branch: BranchPlan, tokens: TokenBatch) -> np.ndarray:
    """float32 (rows, branch.width), rows in their order."""
    kept = np.diff(tokens.offsets)
    order = np.argsort(-kept, kind="stable")
    vectors = np.empty((len(kept), branch.width), dtype=np.float32)
    ids = np.require(tokens.ids, np.int32, ["C", "W"])
    first = 0
    while first < len(order):
        rows = order[first : first + _tile_rows(branch, int(kept[order[first]]))]
        tile = Tile(ids, tokens.offsets[rows], kept[rows], kept[rows], _NOTHING)
        for step in branch.steps:
            tile = step.run(tile)
        vectors[rows] = tile.values[:, : branch.width]
        first += len(rows)
    return vectors


def _tile_rows(branch: BranchPlan, longest: int) -> int:
    """How many rows the next tile takes, its longest having that many tokens."""
    row_bytes = max(longest * branch.position_bytes, 1)
    rows = max(TILE_BYTES // row_bytes, min(LEAST_ROWS, MOST_BYTES // row_bytes), 1)
    return min(rows, TILE_ROWS)


def _merged(kind: str, vectors: Sequence[np.ndarray]) -> np.ndarray:
    """Side by side or summed, float32 (rows, ld)."""
    joined = np.hstack(vectors) if kind == "Concatenate" else reduce(np.add, vectors)
    merged = zeros(len(joined), padded(joined.shape[1]))
    merged[:, : joined.shape[1]] = joined
    return merged
