"""What each word adds to a sum over a bag of words: exact.

A column's term is its value times its weight. It is shared evenly among the places in the text
where the column's n-gram stands, and there evenly among the n-gram's words.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from scorer.explain.parts import Bag
from scorer.explain.words import Text, members, owners
from scorer.vectorizer import TokenBatch, Vectorizer


def shares(
    bag: Bag, vectorizer: Vectorizer, text: Text, tokens: TokenBatch
) -> tuple[np.ndarray, np.ndarray]:
    """What the words of a text add to the outputs, float64 (words, outputs), and their sum.

    tokens: what the vectorizer makes of the text. Where a word's tokens cannot be told apart, its
    share is what the sum loses without it, and the shares may not add up to the sum.
    """
    (values,) = bag.values(tokens)
    used = np.flatnonzero(values)
    total: np.ndarray = values[used] @ bag.kernel[used]
    owner = owners(vectorizer, bag.spec, text, tokens)
    if owner is None:
        return _without(bag, vectorizer, text, total), total
    columns = tokens.ids.astype(np.int64) - 1
    _, place, count = np.unique(columns, return_inverse=True, return_counts=True)
    terms = (values[columns] / count[place])[:, None] * bag.kernel[columns]
    found = np.zeros((len(text.spans), bag.kernel.shape[1]))
    first = 0
    for group in members(bag.spec, len(owner)):
        size = group.shape[1]
        part = terms[first : first + len(group)] / size
        for nth in range(size):
            np.add.at(found, owner[group[:, nth]], part)
        first += len(group)
    return found, total


def _without(bag: Bag, vectorizer: Vectorizer, text: Text, total: np.ndarray) -> np.ndarray:
    """float64 (words, outputs): what the sum loses with each word."""
    lost = []
    for start, end in text.spans:
        tokens = vectorizer(pa.array([text.text[:start] + text.text[end:]], pa.large_string()))
        (values,) = bag.values(tokens)
        used = np.flatnonzero(values)
        lost.append(total - values[used] @ bag.kernel[used])
    return np.array(lost).reshape(len(text.spans), -1)
