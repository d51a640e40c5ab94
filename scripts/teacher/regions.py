"""Vectors of a few words in a row that tell which words stand around them.

"tv-embedding" of regions (Johnson and Zhang 2015), learnt on texts without labels:

    u = relu(b + s sum of E[g] over the n-grams g that lie within the region)
    J = - sum over words w around the region of log sigmoid(O[w] u)
        - sum over drawn words n of log sigmoid(-O[n] u)

Threads work on different texts and write to the same rows without waiting for each other (Recht et
al. 2011), so that another run differs a little.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import njit, prange

from scripts.teacher.draws import drawn_from, first_random, next_random
from scripts.teacher.grams import number_grams
from scripts.teacher.words import Words
from scripts.training.types import AnyArray, Floats

REACH = 2  # words of a region on each side of its middle
SCALE = np.float32(0.3)  # s: a region of five words has up to twelve n-grams
_PARTS = 64  # of the texts, each with random numbers of its own
_ONE, _ZERO = np.float32(1), np.float32(0)


@dataclass(frozen=True)
class RegionSettings:
    width: int = 200
    epochs: int = 4
    rate: float = 0.05  # falls to zero in a line
    around: int = 5  # words on each side of the region that it tells
    drawn: int = 3  # words drawn for each of those
    grams: tuple[int, int, int] = (40_000, 150_000, 50_000)  # words, pairs and triples that count
    common: int = 60  # the most frequent words, which need not be told
    seed: int = 0


@dataclass(frozen=True)
class Regions:
    """grams (tokens, 3): the n-grams that begin at each token, -1 for none; rows (n-grams, width),
    of which the first `words` are the most frequent words'; bias (width,)."""

    grams: AnyArray
    rows: Floats
    bias: Floats
    words: int


@njit(nogil=True, error_model="numpy")
def grams_around(at: Any, first: Any, last: Any, grams: Any, found: Any) -> Any:
    """Write the n-grams within the region around a token of the text into `found`; how many."""
    count = 0
    end = min(last, at + REACH + 1)
    for j in range(max(first, at - REACH), end):
        for n in range(grams.shape[1]):
            if j + n < end and grams[j, n] >= 0:
                found[count] = grams[j, n]
                count += 1
    return count


@njit(fastmath=True, nogil=True, error_model="numpy")
def embed(found: Any, count: Any, rows: Any, bias: Any, u: Any) -> None:
    """u = relu(bias + s sum of the rows found)."""
    u[:] = bias
    for k in range(count):
        row = rows[found[k]]
        for f in range(u.size):
            u[f] += SCALE * row[f]
    for f in range(u.size):
        u[f] = max(u[f], _ZERO)


@njit(fastmath=True, nogil=True, error_model="numpy")
def _tell(u: Any, word: Any, label: Any, rate: Any, back: Any) -> None:
    """One step of logistic regression on u; adds what u should change by to `back`."""
    z = _ZERO
    for f in range(u.size):
        z += u[f] * word[f]
    g = rate * (label - _ONE / (_ONE + np.exp(-z)))
    for f in range(u.size):
        back[f] += g * word[f]
        word[f] += g * u[f]


@njit(parallel=True, fastmath=True, error_model="numpy")
def _epoch(
    order: Any, starts: Any, ids: Any, grams: Any, pool: Any, arrays: Any, knobs: Any, seed: Any
) -> None:
    rows, bias, told = arrays
    rate, around, drawn, common = knobs
    for part in prange(_PARTS):
        state = first_random(seed, part)
        found = np.zeros((2 * REACH + 1) * grams.shape[1], np.int64)
        u, back = np.zeros(bias.size, np.float32), np.zeros(bias.size, np.float32)
        for k in range(part, order.size, _PARTS):
            first, last = starts[order[k]], starts[order[k] + 1]
            for at in range(first, last):
                count = grams_around(at, first, last, grams, found)
                embed(found, count, rows, bias, u)
                back[:] = 0
                reach = REACH + around
                for j in range(max(first, at - reach), min(last, at + reach + 1)):
                    if abs(j - at) <= REACH or ids[j] <= common or ids[j] >= len(told):
                        continue
                    _tell(u, told[ids[j]], _ONE, rate, back)
                    for _ in range(drawn):
                        state = next_random(state)
                        _tell(u, told[pool[np.int64(state >> np.uint64(40))]], _ZERO, rate, back)
                for f in range(u.size):
                    back[f] *= SCALE * (u[f] > 0)
                for n in range(count):
                    row = rows[found[n]]
                    for f in range(u.size):
                        row[f] += back[f]


def learn_regions(
    words: Words, texts: int, settings: RegionSettings, log: Callable[[str], None]
) -> Regions:
    """The embedding of all regions, learnt on the first `texts` texts."""
    grams, sizes = number_grams(words, settings.grams)
    rng = np.random.default_rng(settings.seed)
    rows = np.float32(0.05) * rng.standard_normal((sum(sizes), settings.width), dtype=np.float32)
    bias = np.full(settings.width, 0.05, np.float32)
    told = np.zeros((settings.grams[0] + 1, settings.width), np.float32)
    counts = np.bincount(words.ids, minlength=len(told))[: len(told)]
    counts[: settings.common + 1] = 0
    pool = drawn_from(counts)
    started = time.monotonic()
    for epoch in range(settings.epochs):
        rate = np.float32(settings.rate * (1 - epoch / settings.epochs))
        knobs = (rate, settings.around, settings.drawn, settings.common)
        order = rng.permutation(texts)
        arrays = (rows, bias, told)
        _epoch(order, words.starts, words.ids, grams, pool, arrays, knobs, epoch + 1)
        log(f"regions: epoch {epoch + 1}, {time.monotonic() - started:.0f} s")
    return Regions(grams, rows, bias, sizes[0])
