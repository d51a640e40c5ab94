"""The words of a vocabulary file."""

from __future__ import annotations

from scorer.errors import BundleError
from scorer.vectorizer.words import Words, lines_of

MAX_VOCABULARY = 5_000_000


def vocabulary_lines(data: bytes) -> Words:
    """The words of a vocabulary file, one a line; empty lines at its end are none.

    Lines end where Keras ends them, at all that `str.splitlines` knows.
    """
    try:
        words = lines_of(data)
    except UnicodeDecodeError as error:
        raise BundleError(f"not UTF-8 (byte {error.start})") from error
    if len(words) > MAX_VOCABULARY:
        raise BundleError(f"the vocabulary has {len(words)} words, at most {MAX_VOCABULARY}")
    return words
