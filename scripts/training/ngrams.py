"""N-grams of numbered words, each as one number."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from scripts.training.types import AnyArray


def id_bits(most: int) -> int:
    """Of a word's number, where `most` of them fit into 64."""
    return 64 // most


def ngram_keys(ids: AnyArray, text: AnyArray, most: int) -> Iterator[tuple[AnyArray, AnyArray]]:
    """For n = 1 to `most`: the n-grams that begin at each token, and whether they are whole.

    ids (tokens,): 0 for a word that no n-gram may hold; text (tokens,): which text it stands in.
    A key is uint64, the last word lowest, in `id_bits` each. Whole ones are known words of one
    text. Both arrays are shorter by n - 1 than the tokens.
    """
    words, bits = ids.astype(np.uint64), np.uint64(id_bits(most))
    key, known = np.zeros_like(words), np.ones(words.size, np.bool_)
    for n in range(1, most + 1):
        width = words.size - n + 1
        key = (key[:width] << bits) | words[n - 1 :]
        known = known[:width] & (words[n - 1 :] > 0)
        yield key, known & (text[:width] == text[n - 1 :])
