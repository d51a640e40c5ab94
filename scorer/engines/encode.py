"""Dense views of a TokenBatch, as Keras' TextVectorization would output it."""

from __future__ import annotations

import numpy as np

from scorer.vectorizer import TokenBatch, VectorizerSpec


def padded_ids(tokens: TokenBatch, length: int | None = None) -> np.ndarray:
    """int32 (rows, length): each row's ids, then zeros. `length` defaults to the longest row's."""
    kept = np.diff(tokens.offsets)
    width = int(kept.max(initial=1)) if length is None else length
    padded = np.zeros((len(kept), max(width, 1)), dtype=np.int32)
    padded[np.arange(padded.shape[1]) < kept[:, None]] = tokens.ids
    return padded


def bag_of_words(spec: VectorizerSpec, tokens: TokenBatch) -> np.ndarray:
    """float32 (rows, columns): column 0 for unknown words, column i + 1 for word i.

    count: how often; multi_hot: whether; tf_idf: how often times the column's IDF weight.
    """
    rows = np.repeat(np.arange(len(tokens.n_tokens)), np.diff(tokens.offsets))
    bag = np.zeros((len(tokens.n_tokens), spec.columns), dtype=np.float32)
    np.add.at(bag, (rows, tokens.ids - 1), np.float32(1))
    if spec.output_mode == "multi_hot":
        return np.minimum(bag, np.float32(1))
    if spec.output_mode == "tf_idf" and spec.idf_weights is not None:
        bag *= spec.idf_weights
    return bag
