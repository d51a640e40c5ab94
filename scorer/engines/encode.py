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
    """float32 (rows, columns): what each text holds of every column, as `spec.output_mode` says.

    Of a token that occurs c times in a text of n tokens: count: c; multi_hot: 1; freq: c / n;
    tf_idf: c times the column's IDF weight; log_tf_idf: 1 + ln(c) times it.
    """
    rows = np.repeat(np.arange(len(tokens.n_tokens)), np.diff(tokens.offsets))
    bag = np.zeros((len(tokens.n_tokens), spec.columns), dtype=np.float32)
    np.add.at(bag, (rows, tokens.ids - 1), np.float32(1))
    if spec.output_mode == "multi_hot":
        return np.minimum(bag, np.float32(1))
    if spec.output_mode == "freq":
        bag /= np.maximum(np.diff(tokens.offsets), 1).astype(np.float32)[:, None]
    if spec.output_mode == "log_tf_idf":
        np.log(bag, out=bag, where=bag > 0)
        bag[rows, tokens.ids - 1] += np.float32(1)
    if spec.idf_weights is not None:
        bag *= spec.idf_weights
    return bag
