"""The words of a text as people see them, and the tokens that a vectorizer makes of each.

A word is what stands between white space, its punctuation included, so that a text can be shown
with its words marked. A vectorizer may make no token of it, one, or several.
"""

from __future__ import annotations

import re
import string
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from scorer.vectorizer import TokenBatch, Vectorizer, VectorizerSpec

#: what vectorizers break texts at
_WORD = re.compile(r"[^ \t\n\v\f\r]+")
#: a character of the private use area, or letters, for models that read nothing else
_UNKNOWN = ("\ue000", "zqxjkvq")


@dataclass(frozen=True)
class Text:
    """A text and where its words lie: (first character, the one after the last) of each."""

    text: str
    spans: tuple[tuple[int, int], ...]

    @property
    def words(self) -> list[str]:
        return [self.text[start:end] for start, end in self.spans]

    def pieces(self) -> list[str]:
        """The whole text in one piece a word: the white space after a word goes with it, and what
        stands before the first word goes with that."""
        starts = [0, *(start for start, _ in self.spans[1:])]
        ends = [*starts[1:], len(self.text)]
        return [self.text[start:end] for start, end in zip(starts, ends, strict=True)]

    def replaced(self, words: Sequence[int], unknown: str) -> str:
        """The text with unknown words in place of these (numbers in rising order)."""
        parts, at = [], 0
        for number in words:
            start, end = self.spans[number]
            same_length = unknown * (end - start) if len(unknown) == 1 else unknown
            parts += [self.text[at:start], same_length]
            at = end
        return "".join([*parts, self.text[at:]])


def read_words(text: str) -> Text:
    """Find the words of a text."""
    return Text(text, tuple(match.span() for match in _WORD.finditer(text)))


def plain(word: str) -> str:
    """A word without the punctuation around it and in small letters, as lists of words show it."""
    bare = word.strip(string.punctuation + "…“”„‘’«»–—¡¿")
    return (bare or word).casefold()


def unknown_word(vectorizers: Sequence[Vectorizer]) -> str:
    """What no vocabulary has: a word, or a character to write as often as a word has characters."""
    for word in _UNKNOWN:
        found = [vectorizer(pa.array([word])) for vectorizer in vectorizers]
        if all(tokens.n_tokens[0] and tokens.n_tokens[0] == tokens.n_oov[0] for tokens in found):
            return word
    return _UNKNOWN[0]


def owners(
    vectorizer: Vectorizer, spec: VectorizerSpec, text: Text, tokens: TokenBatch
) -> np.ndarray | None:
    """int64 (tokens,): the word that each single token comes from; None where it cannot be told.

    tokens: what the vectorizer makes of the whole text. It cannot be told where a vectorizer joins
    words, or makes of a word something else than of the word alone.
    """
    alone = vectorizer(pa.array(text.pieces(), pa.large_string()))
    if spec.ngrams == (1,):
        if not np.array_equal(alone.ids, tokens.ids):
            return None
        return np.repeat(np.arange(len(text.spans)), np.diff(alone.offsets))
    count = int(tokens.n_tokens[0])
    if int(alone.n_tokens.sum()) != count or len(tokens.ids) != sum(_sizes(spec, count)):
        return None
    return np.repeat(np.arange(len(text.spans)), alone.n_tokens)


def _sizes(spec: VectorizerSpec, count: int) -> list[int]:
    """How many n-grams of each size that many tokens have."""
    return [max(count - size + 1, 0) for size in spec.ngrams]


def members(spec: VectorizerSpec, count: int) -> list[np.ndarray]:
    """For each size, int64 (n-grams, size): the tokens of each n-gram, in the order of its ids."""
    return [
        np.arange(found)[:, None] + np.arange(size)
        for size, found in zip(spec.ngrams, _sizes(spec, count), strict=True)
    ]
