"""A word -> rank mapping as a VectorizerSpec: `imdb.get_word_index()`, `reuters`, or one's own.

A program looks up `rank + index_from` for every word of `text.split()`, puts `start_id` before the
text, and takes `oov_id` for a word that is not there or whose id reaches `num_words`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from scorer.errors import BundleError
from scorer.vectorizer.preparation import UNICODE_SPACE, Preparation, Replace
from scorer.vectorizer.spec import VectorizerSpec

MAX_WORDS = 5_000_000
_ASCII_SPACE = bytes((*range(9, 14), *range(28, 33)))  # of `str.split()`


@dataclass(frozen=True)
class Numbering:
    """How a program makes ids of ranks; the defaults leave ranks and texts as they are."""

    index_from: int = 0
    start_id: int | None = None
    oov_id: int | None = None
    num_words: int | None = None


def ranks_of(index: Any, what: str) -> tuple[list[str], np.ndarray]:
    """The words, and their ranks int64 (words,). Raises BundleError where it is not such a mapping.

    `what` names the mapping in messages.
    """
    if not isinstance(index, Mapping) or not index:
        raise BundleError(f"{what} does not map words to whole numbers")
    if len(index) > MAX_WORDS:
        raise BundleError(f"{what} has {len(index):,} words, at most {MAX_WORDS:,}")
    for word, rank in index.items():
        if type(rank) is not int or not 0 <= rank <= 2 * MAX_WORDS:
            raise BundleError(f"{what} maps {word[:40]!r} to {rank!r:.40}, not to a whole number")
        if not word.isascii() and any("\ud800" <= c <= "\udfff" for c in word):
            raise BundleError(f"{what} has the word {word[:40]!r}, which is not valid Unicode")
    pairs = [(word, rank) for word, rank in index.items() if word]  # no text has an empty word
    return [word for word, _ in pairs], np.array([rank for _, rank in pairs], np.int64)


def numbered(
    words: list[str], ids: np.ndarray, num_words: int | None
) -> tuple[tuple[str, ...], np.ndarray]:
    """The words whose ids stay below `num_words`, and those ids int32."""
    keep = np.ones(len(ids), np.bool_) if num_words is None else ids < num_words
    kept = [word for word, good in zip(words, keep.tolist(), strict=True) if good]
    if not kept:
        raise BundleError(f"no word has an id below {num_words}")
    return tuple(kept), ids[keep].astype(np.int32)


def spec_from_word_index(
    index: Any,
    numbering: Numbering | None = None,
    preparation: Preparation | None = None,
    output_mode: str = "int",
) -> VectorizerSpec:
    """Check a word -> rank mapping. `preparation` is what the program does before `split()`.

    In a bag mode a text has one column for each id below `num_words`, or each that there is.
    Raises BundleError.
    """
    numbering = numbering or Numbering()
    words, ranks = ranks_of(index, "the word index")
    kept, ids = numbered(words, ranks + numbering.index_from, numbering.num_words)
    most = max(int(ids.max()), numbering.oov_id or 0, numbering.start_id or 0) + 1
    spaces = Replace(f"[{UNICODE_SPACE}]", " ")
    return VectorizerSpec(
        standardize=None,
        split=None,
        output_mode=output_mode,
        output_sequence_length=None,
        vocabulary=kept,
        separators=_ASCII_SPACE,
        preparation=(preparation or Preparation()).then(spaces),
        word_ids=ids,
        unknown_id=numbering.oov_id,
        start_id=numbering.start_id,
        width=None if output_mode == "int" else numbering.num_words or most,
    )
