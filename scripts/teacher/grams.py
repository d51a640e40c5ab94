"""N-grams of up to three words: how often each stands in each text, and where."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp

from scripts.teacher.words import Words
from scripts.training.ngrams import ngram_keys
from scripts.training.types import AnyArray

MOST = 3


def count_grams(words: Words, fewest: int = 3) -> sp.csr_matrix:
    """(texts, n-grams): how often each n-gram stands in each text.

    N-grams that `fewest` texts do not have are left out.
    """
    text = words.text
    found = [
        (key[whole], text[: key.size][whole]) for key, whole in ngram_keys(words.ids, text, MOST)
    ]
    keys, texts = (np.concatenate(part) for part in zip(*found, strict=True))
    known, column = np.unique(keys, return_inverse=True)
    shape = (words.starts.size - 1, known.size)
    matrix = sp.csr_matrix((np.ones(keys.size, np.float32), (texts, column)), shape=shape)
    matrix.sum_duplicates()
    texts_of = np.bincount(matrix.indices, minlength=known.size)
    return matrix[:, texts_of >= fewest].tocsr()


def number_grams(words: Words, most: tuple[int, int, int]) -> tuple[AnyArray, list[int]]:
    """int32 (tokens, 3): the number of the word, pair and triple that begins at each token.

    `most` of each length, the most frequent ones, have a number; the others have -1. Also returns
    how many of each length there are: words come first, by frequency, then pairs, then triples.
    """
    ids = np.where(words.ids > most[0], 0, words.ids)
    numbers = np.full((ids.size, MOST), -1, np.int32)
    sizes: list[int] = []
    for n, (key, whole) in enumerate(ngram_keys(ids, words.text, MOST)):
        kept, counts = np.unique(key[whole], return_counts=True)
        kept = np.sort(kept[np.argsort(-counts, kind="stable")[: most[n]]])
        at = np.minimum(np.searchsorted(kept, key), kept.size - 1)
        known = whole & (kept[at] == key)
        numbers[: key.size, n][known] = (sum(sizes) + at)[known]
        sizes.append(kept.size)
    return numbers, sizes
