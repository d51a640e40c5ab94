"""A text with one word after another replaced by an unknown one: what the network then says.

Occlusion (Zeiler and Fergus 2014), of words (Li, Monroe and Jurafsky 2016, "Understanding Neural
Networks through Representation Erasure"). An unknown word rather than a gap: the words after it
keep their places, and the network has met unknown words in training.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pyarrow as pa

from scorer.engines import Engine
from scorer.explain.words import Text, unknown_word
from scorer.feeding import Fed, Given
from scorer.vectorizer import TokenBatch, Vectorizer

#: of a longer text, so many groups of neighbouring words are replaced, not each word
MOST_VARIANTS = 1000


@dataclass(frozen=True)
class Variants:
    """A text as it is, with each of some groups of words unknown, and with all of them unknown.

    groups  the numbers of the words that are replaced together
    texts   the text, then one for each group, then the last
    """

    groups: tuple[tuple[int, ...], ...]
    texts: tuple[str, ...]


@dataclass(frozen=True)
class Occlusion:
    """A network, and how texts reach it.

    vectorizers  for each of its inputs; None where it does not read the text, which then keeps
                 what it was given
    """

    engine: Engine
    vectorizers: tuple[Vectorizer | None, ...]

    @cached_property
    def _readers(self) -> list[Vectorizer]:
        return [each for each in self.vectorizers if each is not None]

    @cached_property
    def _unknown(self) -> str:
        return unknown_word(self._readers)

    def variants(self, text: Text) -> Variants:
        """The texts to run. A word that no input knows is not replaced: nothing would change."""
        known = np.zeros(len(text.spans), np.bool_)
        words = pa.array(text.words, pa.large_string())
        for vectorizer in self._readers:
            tokens = vectorizer(words)
            known |= (tokens.n_tokens > 1) | (tokens.n_tokens > tokens.n_oov)
        numbers = np.flatnonzero(known).tolist()
        size = -(-len(numbers) // MOST_VARIANTS) or 1
        groups = tuple(tuple(numbers[i : i + size]) for i in range(0, len(numbers), size))
        replaced = [text.replaced(group, self._unknown) for group in (*groups, numbers)]
        return Variants(groups, (text.text, *replaced))

    def run(
        self, variants: Sequence[Variants], fed: Sequence[Fed], inputs: Sequence[int]
    ) -> list[np.ndarray]:
        """For each text float64 (variants, outputs), all of them in one batch.

        fed     what the whole network is given of each text
        inputs  the numbers of the whole network's inputs that this one reads
        """
        counts = [len(each.texts) for each in variants]
        texts = pa.array([text for each in variants for text in each.texts], pa.large_string())
        given: list[Given] = []
        for vectorizer, number in zip(self.vectorizers, inputs, strict=True):
            if vectorizer is not None:
                given.append(vectorizer(texts))
            else:
                given.append(_repeated([each.given[number] for each in fed], counts))
        outputs = self.engine.run(*given).astype(np.float64)
        return np.split(outputs, np.cumsum(counts)[:-1])


def effects(variants: Variants, outputs: np.ndarray, words: int) -> np.ndarray:
    """float64 (words, outputs): what the outputs lose where a word is unknown.

    Words that were replaced together share it evenly.
    """
    found = np.zeros((words, outputs.shape[1]))
    for group, instead in zip(variants.groups, outputs[1:-1], strict=True):
        found[list(group)] = (outputs[0] - instead) / len(group)
    return found


def _repeated(given: Sequence[Given], counts: Sequence[int]) -> Given:
    """What one row was given, for as many rows as there are variants of its text."""
    if isinstance(given[0], np.ndarray):
        rows = [
            np.repeat(np.asarray(each), n, axis=0) for each, n in zip(given, counts, strict=True)
        ]
        return np.concatenate(rows)
    batches = [each for each in given if isinstance(each, TokenBatch)]
    each_row = [(tokens, n) for tokens, n in zip(batches, counts, strict=True)]
    kept = np.concatenate([np.full(n, len(tokens.ids)) for tokens, n in each_row])
    return TokenBatch(
        ids=np.concatenate([np.tile(tokens.ids, n) for tokens, n in each_row]),
        offsets=np.concatenate([[0], np.cumsum(kept)]),
        n_tokens=np.concatenate([np.repeat(tokens.n_tokens, n) for tokens, n in each_row]),
        n_oov=np.concatenate([np.repeat(tokens.n_oov, n) for tokens, n in each_row]),
    )
