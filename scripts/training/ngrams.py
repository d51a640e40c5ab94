"""N-grams of numbered words, each as one number."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from scripts.training.types import AnyArray

ID_BITS = 20  # of a word's number; three fit into 64


def ngram_keys(ids: AnyArray, text: AnyArray, most: int) -> Iterator[tuple[AnyArray, AnyArray]]:
    """For n = 1 to `most`: the n-grams that begin at each token, and whether they are whole.

    ids (tokens,): 0 for a word that no n-gram may hold; text (tokens,): which text it stands in.
    A key is uint64, the last word lowest. Whole ones are known words of one text. Both arrays are
    shorter by n - 1 than the tokens.
    """
    words = ids.astype(np.uint64)
    key, known = np.zeros_like(words), np.ones(words.size, np.bool_)
    for n in range(1, most + 1):
        width = words.size - n + 1
        key = (key[:width] << np.uint64(ID_BITS)) | words[n - 1 :]
        known = known[:width] & (words[n - 1 :] > 0)
        yield key, known & (text[:width] == text[n - 1 :])
