"""Document vectors that tell which n-grams a text holds (Thongtan and Phienthrakul 2019).

    J = - sum over a text's n-grams w of log s(a cos(d, w))
        - sum over drawn n-grams n of log s(-a cos(d, n))

Vectors stay on the unit sphere: each step moves along it. Threads work on different texts and write
to the n-grams' vectors without waiting for each other (Recht et al. 2011).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp
from numba import njit, prange

from scripts.teacher.draws import drawn_from, first_random, next_random
from scripts.training.types import AnyArray

_PARTS = 64  # of the texts, each with random numbers of its own
_ONE = np.float32(1)


@dataclass(frozen=True)
class DocumentVectors:
    width: int = 256
    epochs: int = 11
    rate: float = 0.03  # falls to zero in a line
    sharpness: float = 6.0  # a
    drawn: int = 2  # n-grams drawn for each of the text's own
    fewest: int = 5  # texts that an n-gram must be in
    seed: int = 0


@njit(fastmath=True, nogil=True, error_model="numpy")
def _step(d: Any, w: Any, label: Any, rate: Any, sharpness: Any) -> None:
    """Move both vectors along the sphere, towards each other or apart."""
    dot, dd, ww = np.float32(0), np.float32(1e-12), np.float32(1e-12)
    for j in range(d.size):
        dot += d[j] * w[j]
        dd += d[j] * d[j]
        ww += w[j] * w[j]
    own, other = _ONE / np.sqrt(dd), _ONE / np.sqrt(ww)
    cos = min(max(dot * own * other, -_ONE), _ONE)
    g = rate * sharpness * (label - _ONE / (_ONE + np.exp(-sharpness * cos)))
    norm = _ONE / np.sqrt(_ONE + g * g * (_ONE - cos * cos))
    stay, move = (_ONE - g * cos) * norm, g * norm
    for j in range(d.size):
        a, b = d[j] * own, w[j] * other
        d[j] = stay * a + move * b
        w[j] = stay * b + move * a


@njit(parallel=True, fastmath=True, error_model="numpy")
def _epoch(
    order: Any, starts: Any, grams: Any, pool: Any, texts: Any, words: Any, knobs: Any, seed: Any
) -> None:
    rate, sharpness, drawn = knobs
    for part in prange(_PARTS):
        state = first_random(seed, part)
        for k in range(part, order.size, _PARTS):
            first, last = starts[order[k]], starts[order[k] + 1]
            for _ in range(last - first):
                state = next_random(state)
                at = first + np.int64((state >> np.uint64(11)) % np.uint64(last - first))
                _step(texts[order[k]], words[grams[at]], _ONE, rate, sharpness)
                for _ in range(drawn):
                    state = next_random(state)
                    other = pool[np.int64(state >> np.uint64(40))]
                    _step(texts[order[k]], words[other], np.float32(0), rate, sharpness)


def learn_documents(
    counts: sp.csr_matrix, settings: DocumentVectors, log: Callable[[str], None]
) -> AnyArray:
    """float32 (texts, width), unit vectors, from counts (texts, n-grams)."""
    counts = counts[:, np.bincount(counts.indices, minlength=counts.shape[1]) >= settings.fewest]
    grams = np.repeat(counts.indices, counts.data.astype(np.int64)).astype(np.int32)
    sizes = np.asarray(counts.sum(axis=1)).ravel().astype(np.int64)
    starts = np.concatenate([[0], np.cumsum(sizes)])
    pool = drawn_from(np.bincount(grams, minlength=counts.shape[1]))
    rng = np.random.default_rng(settings.seed)
    words = _on_sphere(rng, counts.shape[1], settings.width)
    texts = _on_sphere(rng, counts.shape[0], settings.width)
    started = time.monotonic()
    for epoch in range(settings.epochs):
        rate = np.float32(settings.rate * (1 - epoch / settings.epochs))
        knobs = (rate, np.float32(settings.sharpness), settings.drawn)
        order = rng.permutation(len(texts))
        _epoch(order, starts, grams, pool, texts, words, knobs, epoch + 1)
        log(f"document vectors: epoch {epoch + 1}, {time.monotonic() - started:.0f} s")
    return texts


def _on_sphere(rng: np.random.Generator, rows: int, width: int) -> AnyArray:
    vectors = rng.standard_normal((rows, width), dtype=np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors
