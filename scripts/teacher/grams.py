"""Texts as counts of their words, pairs and triples of words."""

from __future__ import annotations

import re
from collections import Counter

import numpy as np
import scipy.sparse as sp

from scripts.training.types import AnyArray

_TOKEN = re.compile(r"[a-z0-9']+|[!?.,;:()\"*]|[^\x00-\x7f]+")
_MOST = 3
_ID_BITS = 20


def count_grams(texts: list[str], fewest: int = 3) -> sp.csr_matrix:
    """(texts, n-grams): how often each n-gram stands in each text.

    Words are lower-cased, signs count as words; n-grams that `fewest` texts do not have are left
    out, and so are words that come only once.
    """
    tokens = [_TOKEN.findall(text.lower().replace("<br />", " ")) for text in texts]
    counts: Counter[str] = Counter()
    for row in tokens:
        counts.update(row)
    ids = {w: k for k, w in enumerate((w for w, n in counts.most_common() if n > 1), start=1)}
    rows = [np.array([ids.get(word, 0) for word in row], np.uint64) for row in tokens]
    keys, text = _keys(rows)
    found, column = np.unique(keys, return_inverse=True)
    shape = (len(texts), found.size)
    matrix = sp.csr_matrix((np.ones(keys.size, np.float32), (text, column)), shape=shape)
    matrix.sum_duplicates()
    texts_of = np.bincount(matrix.indices, minlength=found.size)
    return matrix[:, texts_of >= fewest].tocsr()


def _keys(rows: list[AnyArray]) -> tuple[AnyArray, AnyArray]:
    """Each n-gram of known words as a number, and the text that it stands in."""
    flat = np.concatenate(rows)
    text = np.repeat(np.arange(len(rows), dtype=np.int32), [row.size for row in rows])
    keys, texts = [], []
    key, known = np.zeros_like(flat), np.ones(flat.size, np.bool_)
    for n in range(1, _MOST + 1):
        width = flat.size - n + 1
        key = (key[:width] << np.uint64(_ID_BITS)) | flat[n - 1 :]
        known = known[:width] & (flat[n - 1 :] > 0)
        whole = known & (text[:width] == text[n - 1 :])
        keys.append(key[whole])
        texts.append(text[:width][whole])
    return np.concatenate(keys), np.concatenate(texts)
