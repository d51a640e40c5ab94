"""Vocabularies, token ids and pretrained word vectors."""

from __future__ import annotations

import string
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from scorer.vectorizer import TokenBatch, VectorizerSpec
from scorer.vectorizer import Vectorizer as Tokenizer
from scripts.training.recipe import Vectorizer
from scripts.training.types import Floats

_PUNCTUATION = str.maketrans("", "", string.punctuation)


@dataclass(frozen=True)
class Vocabulary:
    """What Keras' TextVectorization learnt: words (without specials) and, for TF-IDF, weights."""

    settings: Vectorizer
    words: tuple[str, ...]
    idf: Floats | None = None

    @property
    def ids(self) -> int:
        """Rows that an embedding needs: padding, unknown, the words."""
        return len(self.words) + 2

    def tokenize(self, texts: pa.Array) -> TokenBatch:
        """Token ids as Keras gives them (the library's vectorizer, tested against Keras')."""
        return tokenize(self.settings, self.words, texts)


def tokenize(settings: Vectorizer, words: tuple[str, ...], texts: pa.Array) -> TokenBatch:
    """Each text's ids of these words or n-grams, whatever is then counted of them."""
    spec = VectorizerSpec(
        standardize=settings.standardize,
        split=settings.split,
        output_mode="int",
        output_sequence_length=settings.output_sequence_length,
        vocabulary=words,
        ngrams=tuple(range(1, settings.ngrams + 1)),
    )
    return Tokenizer(spec)(texts)


def keras_vectorizer(settings: Vectorizer, name: str | None = None) -> Any:
    """A TextVectorization layer with a recipe's settings and no words yet."""
    import keras

    return keras.layers.TextVectorization(
        max_tokens=settings.max_tokens,
        standardize=settings.standardize,
        split=settings.split,
        ngrams=settings.ngrams if settings.ngrams > 1 else None,
        output_mode=settings.output_mode,
        output_sequence_length=settings.output_sequence_length,
        name=name,
    )


def learn_vocabulary(settings: Vectorizer, texts: pa.Array) -> Vocabulary:
    """The most frequent words of the texts, by Keras' own `adapt`."""
    import tensorflow as tf

    layer = keras_vectorizer(settings)
    layer.adapt(tf.data.Dataset.from_tensor_slices(texts.to_pylist()).batch(1024))
    words = np.array(layer.get_vocabulary(include_special_tokens=False))
    # An archive keeps one word a line, and Keras reads the lines back with `splitlines`, which
    # also breaks at such signs as U+0085: a word with one inside would not come back whole.
    whole = np.array([word.splitlines() == [word] for word in words])
    idf = None
    if settings.output_mode == "tf_idf":
        idf = np.asarray(layer._lookup_layer.idf_weights.numpy(), np.float32)[1:][whole]
        idf = np.concatenate([[idf.mean()], idf]).astype(np.float32)  # Keras' for the unknown word
    return Vocabulary(settings, tuple(words[whole].tolist()), idf)


def random_table(rows: int, width: int, rng: np.random.Generator) -> Floats:
    """An embedding as Keras begins it: uniform within 0.05."""
    return rng.uniform(-0.05, 0.05, (rows, width)).astype(np.float32)


def pretrained_table(
    vocabulary: Vocabulary, path: Path, width: int, rng: np.random.Generator
) -> tuple[Floats, float]:
    """An embedding begun from word vectors, and the share of the words that have one.

    path is an .npz of `words` (n,) and `vectors`, whose first `width` columns are taken. The
    vocabulary is lower-case and without punctuation: a word takes the vector of its own spelling,
    else that of the first (most frequent) word that comes down to it. Words without a vector are
    drawn from a normal distribution of the same mean and spread.
    """
    with np.load(path) as stored:
        words, vectors = stored["words"].tolist(), stored["vectors"][:, :width].astype(np.float32)
    row_of: dict[str, int] = {}
    for row, word in enumerate(words):
        row_of.setdefault(word.lower().translate(_PUNCTUATION), row)
    row_of |= {word: row for row, word in enumerate(words) if word == word.lower()}
    mean, spread = vectors.mean(axis=0), vectors.std(axis=0)
    table = rng.normal(mean, spread, (vocabulary.ids, vectors.shape[1])).astype(np.float32)
    table[:2] = 0
    found = [(k, row_of[w]) for k, w in enumerate(vocabulary.words, start=2) if w in row_of]
    here, there = np.array(found, np.int64).T
    table[here] = vectors[there]
    return table, len(found) / len(vocabulary.words)
