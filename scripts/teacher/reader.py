"""A convolution over words and over the vectors of their regions (Johnson and Zhang 2015).

For feature f at place i of a text:

    z[i, f] = b[f] + sum over k of W[k, word at i + k - 1, f] + U[f] u[i] / (mean |u|)
    logit = c + sum over f of v[f] max over i of relu(z[i, f])

u being the region's vector, which stays as it was learnt. Only the place of each maximum learns, so
that a text's step is cheap. The steps are Adagrad's (Duchi et al. 2011); threads work on different
texts without waiting for each other.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numba import njit, prange

from scripts.teacher.grams import MOST
from scripts.teacher.regions import REACH, Regions, embed, grams_around
from scripts.teacher.words import Words
from scripts.training.types import AnyArray, Floats, Ints

_PARTS = 32  # of the texts, each with random numbers of its own
_LONGEST = 3000  # tokens of a text that are read
_NONE = np.float32(-1e9)


@dataclass(frozen=True)
class ReaderSettings:
    features: int = 500
    epochs: int = 4
    rate: float = 0.04  # falls to zero in a line
    dropout: float = 0.5
    word_dropout: float = 0.1
    words: int = 30_000  # that W knows
    width: int = 3  # words that W sees at a place
    seed: int = 1


class Arrays(NamedTuple):
    """W (width, words + 1, features), U (features, region's width), b, v (features,), c (1,)."""

    words: Floats
    regions: Floats
    bias: Floats
    head: Floats
    shift: Floats


class Source(NamedTuple):
    """What texts are made of, for loops. scale: one by the mean length of a region's vector."""

    starts: Ints
    ids: Ints
    grams: AnyArray
    rows: Floats
    bias: Floats
    scale: Any


class Room(NamedTuple):
    """One thread's space for a text."""

    found: Ints
    u: Floats
    z: Floats
    kept: AnyArray  # words that have not been dropped
    best: Floats
    place: Ints


@njit(nogil=True, error_model="numpy")
def _room(width: Any, features: Any) -> Any:
    return Room(
        np.zeros((2 * REACH + 1) * MOST, np.int64),
        np.zeros((_LONGEST, width), np.float32),
        np.zeros((_LONGEST, features), np.float32),
        np.ones(_LONGEST, np.bool_),
        np.zeros(features, np.float32),
        np.zeros(features, np.int64),
    )


@njit(nogil=True, error_model="numpy")
def _span(source: Any, text: Any) -> Any:
    """Where the text begins, and where what is read of it ends."""
    first = source.starts[text]
    return first, min(source.starts[text + 1], first + _LONGEST)


@njit(fastmath=True, nogil=True, error_model="numpy")
def _regions(source: Any, first: Any, last: Any, room: Any) -> None:
    for at in range(first, last):
        count = grams_around(at, first, last, source.grams, room.found)
        u = room.u[at - first]
        embed(room.found, count, source.rows, source.bias, u)
        for f in range(u.size):
            u[f] *= source.scale


@njit(fastmath=True, nogil=True, error_model="numpy")
def _maxima(source: Any, arrays: Any, first: Any, last: Any, room: Any) -> None:
    """The greatest z of each feature, and where it stands."""
    _regions(source, first, last, room)
    width, _, features = arrays.words.shape
    room.z[: last - first] = np.dot(room.u[: last - first], arrays.regions.T)
    room.best[:] = _NONE
    for i in range(last - first):
        z = room.z[i]
        for k in range(width):
            j = i + k - width // 2
            if 0 <= j < last - first and room.kept[j]:
                row = arrays.words[k, source.ids[first + j]]
                for f in range(features):
                    z[f] += row[f]
        for f in range(features):
            if z[f] > room.best[f]:
                room.best[f] = z[f]
                room.place[f] = i
    for f in range(features):
        room.best[f] += arrays.bias[f]


@njit(nogil=True, error_model="numpy")
def _step(weights: Any, squares: Any, at: Any, g: Any, rate: Any) -> None:
    squares[at] += g * g
    weights[at] -= rate * g / np.sqrt(squares[at])


@njit(fastmath=True, nogil=True, error_model="numpy")
def _learn(arrays: Any, squares: Any, ids: Any, room: Any, f: Any, error: Any, rate: Any) -> None:
    """A step of feature f; `error` is the logit's, ids are the text's words."""
    g = error * arrays.head[f]
    _step(arrays.head, squares.head, f, error * room.best[f], rate)
    _step(arrays.bias, squares.bias, f, g, rate)
    i = room.place[f]
    u, row, square = room.u[i], arrays.regions[f], squares.regions[f]
    for x in range(u.size):
        _step(row, square, x, g * u[x], rate)
    width = len(arrays.words)
    for k in range(width):
        j = i + k - width // 2
        if 0 <= j < ids.size and room.kept[j]:
            _step(arrays.words, squares.words, (k, ids[j], f), g, rate)


@njit(parallel=True, fastmath=True, error_model="numpy")
def _epoch(
    order: Any, source: Any, targets: Any, arrays: Any, squares: Any, knobs: Any, seed: Any
) -> None:
    rate, dropout, word_dropout = knobs
    features = arrays.bias.size
    scale = np.float32(1 / (1 - dropout))
    for part in prange(_PARTS):
        np.random.seed(seed * 100 + part)
        room = _room(arrays.regions.shape[1], features)
        for q in range(part, order.size, _PARTS):
            first, last = _span(source, order[q])
            for i in range(last - first):
                room.kept[i] = np.random.random() >= word_dropout
            _maxima(source, arrays, first, last, room)
            logit = arrays.shift[0]
            for f in range(features):
                if np.random.random() < dropout:
                    room.best[f] = 0
                logit += scale * arrays.head[f] * max(room.best[f], np.float32(0))
            error = np.float32(1 / (1 + np.exp(-logit)) - targets[order[q]])
            for f in range(features):
                if room.best[f] > 0:
                    ids = source.ids[first:last]
                    _learn(arrays, squares, ids, room, f, scale * error, rate)
            _step(arrays.shift, squares.shift, 0, error, rate)


@njit(parallel=True, fastmath=True, error_model="numpy")
def _read(texts: Any, source: Any, arrays: Any, logits: Any) -> None:
    for part in prange(_PARTS):
        room = _room(arrays.regions.shape[1], arrays.bias.size)
        for q in range(part, texts.size, _PARTS):
            first, last = _span(source, texts[q])
            _maxima(source, arrays, first, last, room)
            logit = arrays.shift[0]
            for f in range(arrays.bias.size):
                logit += arrays.head[f] * max(room.best[f], np.float32(0))
            logits[q] = logit


class Reader:
    """Learns from texts' targets (probabilities), then gives logits."""

    def __init__(self, words: Words, regions: Regions, settings: ReaderSettings) -> None:
        self.settings = settings
        ids = np.where(words.ids > settings.words, 0, words.ids)
        plain = Source(words.starts, ids, regions.grams, regions.rows, regions.bias, np.float32(1))
        self._source = _scaled(plain)
        rng = np.random.default_rng(settings.seed)
        features, width = settings.features, regions.bias.size

        def normal(*shape: int, spread: float) -> Floats:
            return np.float32(spread) * rng.standard_normal(shape, dtype=np.float32)

        self._arrays = Arrays(
            normal(settings.width, settings.words + 1, features, spread=0.01),
            normal(features, width, spread=0.05),
            np.zeros(features, np.float32),
            normal(features, spread=0.03),
            np.zeros(1, np.float32),
        )

    def fit(self, texts: Ints, targets: Floats, log: Callable[[str], None]) -> Reader:
        """Learns from texts, by number; `targets` are those of all texts."""
        settings = self.settings
        squares = Arrays(*(np.full_like(a, 1e-3) for a in self._arrays))
        squares.words[:] = 1e-4
        rng = np.random.default_rng([settings.seed, 1])
        started = time.monotonic()
        for epoch in range(settings.epochs):
            rate = np.float32(settings.rate * (1 - epoch / settings.epochs))
            knobs = (rate, settings.dropout, settings.word_dropout)
            seed = settings.seed * 1000 + epoch
            order = rng.permutation(texts)
            _epoch(order, self._source, targets, self._arrays, squares, knobs, seed)
            log(f"reader: epoch {epoch + 1}, {time.monotonic() - started:.0f} s")
        return self

    def logits(self, texts: Ints) -> Floats:
        found = np.zeros(texts.size, np.float32)
        _read(texts, self._source, self._arrays, found)
        return found


def _scaled(source: Source) -> Source:
    """With the scale that the vectors of a hundred texts' regions ask for."""
    room = _room(source.bias.size, 1)
    lengths = []
    for text in np.linspace(0, source.starts.size - 2, 100).astype(int):
        first, last = _span(source, text)
        _regions(source, first, last, room)
        lengths.append(np.linalg.norm(room.u[: last - first], axis=1))
    return source._replace(scale=np.float32(1 / np.concatenate(lengths).mean()))
