"""Token rows as batches for `model.fit`: rows of like length, padded to few widths."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, cast

import numpy as np

from scripts.training.recipe import Training
from scripts.training.types import Floats, Ints

# Batches are cut from pools of this many, sorted by length, so that rows of one batch are alike.
_POOL = 20
_UNKNOWN = 1


@dataclass(frozen=True)
class Tokens:
    """Texts ready to train on.

    rows     the token ids of each row
    targets  (rows, outputs): probabilities of the classes, or standardized values
    weights  (rows,): how much each row counts in the loss
    limit    the most tokens that a network of fixed length takes; None where it has none
    """

    rows: list[Ints]
    targets: Floats
    weights: Floats
    limit: int | None = None

    @property
    def lengths(self) -> Ints:
        return np.array([row.size for row in self.rows], np.int64)

    def take(self, rows: Ints) -> Tokens:
        kept = [self.rows[k] for k in rows]
        return Tokens(kept, self.targets[rows], self.weights[rows], self.limit)


def bucket(length: int) -> int:
    """The width that a batch of this length is padded to: a power of two, or one and a half times
    one, so that Keras compiles few shapes."""
    power: int = 8 * 2 ** max(0, math.ceil(math.log2(max(1, length) / 8)))
    return power * 3 // 4 if power > 8 and length <= power * 3 // 4 else power


def padded(rows: list[Ints], limit: int | None) -> Ints:
    """int32 (rows, width): ids, then zeros."""
    width = bucket(max(row.size for row in rows))
    ids = np.zeros((len(rows), min(width, limit) if limit else width), np.int32)
    for k, row in enumerate(rows):
        ids[k, : row.size] = row
    return ids


def shuffled(lengths: Ints, size: int, rng: np.random.Generator) -> list[Ints]:
    """All rows once, in random batches of `size` rows of similar length."""
    order = rng.permutation(lengths.size)
    batches: list[Ints] = []
    for start in range(0, order.size, size * _POOL):
        pool = order[start : start + size * _POOL]
        pool = pool[np.argsort(lengths[pool], kind="stable")]
        batches.extend(pool[k : k + size] for k in range(0, pool.size, size))
    return [batches[k] for k in rng.permutation(len(batches))]


def sorted_by_length(lengths: Ints, size: int) -> list[Ints]:
    """All rows once, longest first, for evaluation."""
    order = np.argsort(-lengths, kind="stable")
    return [order[start : start + size] for start in range(0, order.size, size)]


def crop(tokens: Ints, limit: int | None, rng: np.random.Generator) -> Ints:
    """A random window of at most `limit` tokens."""
    if limit is None or tokens.size <= limit:
        return tokens
    start = int(rng.integers(tokens.size - limit + 1))
    return tokens[start : start + limit]


def drop_words(tokens: Ints, rate: float, rng: np.random.Generator) -> Ints:
    """The tokens with that share of them replaced by the unknown word."""
    if rate == 0:
        return tokens
    dropped = (rng.random(tokens.size) < rate) & (tokens > 0)
    return cast(Ints, np.where(dropped, _UNKNOWN, tokens))


class Batches:
    """Batches of ids (rows, width), targets (rows, outputs) and weights (rows,), by number."""

    def __init__(self, data: Tokens) -> None:
        self.data = data
        self.rows: list[Ints] = []

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> tuple[Ints, Floats, Floats]:
        rows = self.rows[index]
        tokens = self.tokens(index, [self.data.rows[k] for k in rows])
        return padded(tokens, self.data.limit), self.data.targets[rows], self.data.weights[rows]

    def tokens(self, index: int, rows: list[Ints]) -> list[Ints]:
        """The ids of a batch's rows as the network gets them."""
        return rows

    def dataset(self) -> Any:
        """A `tf.data.Dataset` that goes through `self` whenever it is iterated. (Keras' PyDataset
        takes the width of its first two batches for that of all, where they agree.)"""
        import tensorflow as tf

        def batches() -> Iterator[tuple[Ints, Floats, Floats]]:
            for index in range(len(self)):
                yield self[index]

        outputs = self.data.targets.shape[1]
        signature = (
            tf.TensorSpec((None, None), tf.int32),
            tf.TensorSpec((None, outputs), tf.float32),
            tf.TensorSpec((None,), tf.float32),
        )
        found = tf.data.Dataset.from_generator(batches, output_signature=signature)
        return found.apply(tf.data.experimental.assert_cardinality(len(self))).prefetch(4)


class TrainingBatches(Batches):
    """Each epoch takes every row once, cropped and with words dropped.

    The order depends on (seed, epoch), a batch's crops and drops on (seed, epoch, batch): a resumed
    training sees what an uninterrupted one sees.
    """

    def __init__(self, data: Tokens, settings: Training, seed: int) -> None:
        super().__init__(data)
        self.settings, self.seed = settings, seed
        lengths = data.lengths
        self._lengths = lengths if settings.crop is None else np.minimum(lengths, settings.crop)
        self.begin(0)

    def begin(self, epoch: int) -> None:
        """Draws the batches of that epoch, counted from 0."""
        self.epoch = epoch
        rng = np.random.default_rng([self.seed, epoch])
        self.rows = shuffled(self._lengths, self.settings.batch_size, rng)

    def tokens(self, index: int, rows: list[Ints]) -> list[Ints]:
        settings = self.settings
        rng = np.random.default_rng([self.seed, self.epoch, index])
        cropped = [crop(row, settings.crop, rng) for row in rows]
        return [drop_words(row, settings.word_dropout, rng) for row in cropped]


class WholeTexts(Batches):
    """Every row once, uncropped, longest first; `order` says which row stands where."""

    def __init__(self, data: Tokens, size: int = 256) -> None:
        super().__init__(data)
        self.rows = sorted_by_length(data.lengths, size)
        self.order = np.concatenate(self.rows) if self.rows else np.zeros(0, np.int64)
