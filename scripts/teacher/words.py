"""Texts as the numbers of their words, one text after another."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass

import numpy as np

from scripts.training.types import AnyArray, Ints

_TOKEN = re.compile(r"[a-z0-9']+|[!?.,;:()\"*]|[^\x00-\x7f]+")


@dataclass(frozen=True)
class Words:
    """ids (tokens,): each token's place in `names` plus one; 0 for a word that comes only once.
    starts (texts + 1,): where each text begins. names: the most frequent word first.
    """

    ids: Ints
    starts: Ints
    names: tuple[str, ...]

    @property
    def text(self) -> AnyArray:
        """int32 (tokens,): the text that each token stands in."""
        return np.repeat(np.arange(self.starts.size - 1, dtype=np.int32), np.diff(self.starts))

    def first(self, texts: int) -> Words:
        """The first texts alone."""
        return Words(self.ids[: self.starts[texts]], self.starts[: texts + 1], self.names)


def read_words(texts: list[str]) -> Words:
    """Words are lower-cased; signs count as words."""
    tokens = [_TOKEN.findall(text.lower().replace("<br />", " ")) for text in texts]
    counts: Counter[str] = Counter()
    for row in tokens:
        counts.update(row)
    names = tuple(word for word, n in counts.most_common() if n > 1)
    ids = {word: k for k, word in enumerate(names, start=1)}
    starts = np.concatenate([[0], np.cumsum([len(row) for row in tokens])]).astype(np.int64)
    flat = np.fromiter((ids.get(w, 0) for row in tokens for w in row), np.int64, int(starts[-1]))
    return Words(flat, starts, names)
