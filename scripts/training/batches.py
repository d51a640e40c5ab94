"""Batches of token rows, packed step after step (see `lstm.py`) and never padded."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from scripts.training.types import Ints

# Batches are cut from pools of this many, sorted by length, so that rows of one batch are alike.
_POOL = 20


@dataclass(frozen=True)
class Packed:
    """Token rows of one batch, sorted by length (longest first) and packed step after step."""

    rows: Ints  # (b,) which row of the data set each sorted row is
    lengths: Ints  # (b,) tokens, descending
    ids: Ints  # (n,) token ids in packed order
    row: Ints  # (n,) the sorted row of each packed token
    sizes: Ints  # (steps,) rows running at each step
    starts: Ints  # (steps,) where each step begins
    last: Ints  # (b,) the packed position of each row's last token
    reverse: Ints  # (n,) the packed position that holds the same row's token, counted from its end


def pack(rows: Ints, tokens: list[Ints]) -> Packed:
    """Packs `tokens[k]`, the ids of data set row `rows[k]`. A row without tokens gets one 0."""
    lengths = np.array([max(1, t.size) for t in tokens], np.int64)
    order = np.argsort(-lengths, kind="stable")
    lengths = lengths[order]
    steps = np.arange(lengths[0])
    sizes = np.searchsorted(-lengths, -steps, side="left").astype(np.int64)
    starts = np.concatenate([[0], np.cumsum(sizes)[:-1]]).astype(np.int64)
    step = np.repeat(steps, sizes)
    row = np.arange(step.size) - starts[step]
    grid = np.zeros((lengths.size, int(lengths[0])), np.int64)
    for k, source in enumerate(order):
        grid[k, : tokens[source].size] = tokens[source]
    return Packed(
        rows=rows[order],
        lengths=lengths,
        ids=grid[row, step],
        row=row,
        sizes=sizes,
        starts=starts,
        last=starts[lengths - 1] + np.arange(lengths.size),
        reverse=starts[lengths[row] - 1 - step] + row,
    )


def shuffled(lengths: Ints, size: int, rng: np.random.Generator) -> Iterator[Ints]:
    """All rows once, in random batches of `size` rows of similar length."""
    order = rng.permutation(lengths.size)
    batches: list[Ints] = []
    for start in range(0, order.size, size * _POOL):
        pool = order[start : start + size * _POOL]
        pool = pool[np.argsort(lengths[pool], kind="stable")]
        batches.extend(pool[k : k + size] for k in range(0, pool.size, size))
    for k in rng.permutation(len(batches)):
        yield batches[k]


def sorted_by_length(lengths: Ints, size: int) -> Iterator[Ints]:
    """All rows once, longest first, for evaluation."""
    order = np.argsort(-lengths, kind="stable")
    for start in range(0, order.size, size):
        yield order[start : start + size]


def crop(tokens: Ints, limit: int | None, rng: np.random.Generator) -> Ints:
    """A random window of at most `limit` tokens."""
    if limit is None or tokens.size <= limit:
        return tokens
    start = int(rng.integers(tokens.size - limit + 1))
    return tokens[start : start + limit]
