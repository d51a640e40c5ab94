"""The tables that the compiled loops read: what each byte does, the words, the n-grams."""

from __future__ import annotations

import string
from collections.abc import Mapping, Sequence
from itertools import chain

import numpy as np

from scorer.vectorizer.spec import VectorizerSpec

_WHITESPACE = b"\t\n\v\f\r "


def byte_actions(spec: VectorizerSpec, keep: int, brk: int) -> np.ndarray:
    """What each of the 256 bytes does, uint16 (256,): see `kernels.tokenize`."""
    actions = np.arange(256, dtype=np.uint16) | keep
    if spec.split == "character":  # every byte but UTF-8's continuation bytes starts a code point
        actions[[b for b in range(256) if b & 0xC0 != 0x80]] |= brk
    if spec.split == "whitespace":
        actions[list(_WHITESPACE)] = brk
    actions[list(spec.separators)] = brk
    if spec.standardize in ("lower", "lower_and_strip_punctuation"):
        actions[ord("A") : ord("Z") + 1] += ord("a") - ord("A")
    if spec.standardize in ("strip_punctuation", "lower_and_strip_punctuation"):
        actions[list(string.punctuation.encode())] = 0
    return actions


def words_and_ngrams(
    spec: VectorizerSpec,
) -> tuple[list[str], list[int], dict[tuple[str, ...], int]]:
    """The tokens that count, with their ids, and the n-grams of two or more by their tokens.

    A token that is only part of n-grams has the id 1. An entry that is no n-gram of a size that is
    looked up is left out, since no text has it.
    """
    if spec.ngrams == (1,):
        return list(spec.vocabulary), list(range(2, len(spec.vocabulary) + 2)), {}
    split = _characters if spec.split == "character" else _spaced
    parts = {split(word): index for index, word in enumerate(spec.vocabulary, start=2)}
    ngrams = {p: index for p, index in parts.items() if len(p) > 1 and len(p) in spec.ngrams}
    words = {p[0]: index for p, index in parts.items() if len(p) == 1}
    for word in chain.from_iterable(ngrams):
        words.setdefault(word, 1)
    return list(words), list(words.values()), ngrams


def _spaced(ngram: str) -> tuple[str, ...]:
    return tuple(ngram.split(" "))


def _characters(ngram: str) -> tuple[str, ...]:
    """The characters that are joined by spaces, some of which may be spaces; () for other texts."""
    joined = len(ngram) % 2 and not ngram[1::2].strip(" ")
    return tuple(ngram[::2]) if joined else ()


def pack(words: Sequence[str], ids: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
    """Starts int64 (words + 1,) and entries uint64, as kernels.py has them."""
    encoded = [word.encode() for word in words]
    lengths = np.fromiter(map(len, encoded), np.int64, len(encoded))
    starts = np.ones(len(encoded) + 1, np.int64)  # no entry begins at 0
    starts[1:] += np.cumsum(1 + (lengths + 7) // 8)
    packed = np.zeros(8 * starts[-1], np.uint8)
    shift = 8 * (starts[:-1] + 1) - (np.cumsum(lengths) - lengths)  # what comes before each word
    packed[np.arange(lengths.sum()) + np.repeat(shift, lengths)] = np.frombuffer(
        b"".join(encoded), np.uint8
    )
    entries = packed.view("<u8").astype(np.uint64)
    entries[starts[:-1]] = (lengths.astype(np.uint64) << np.uint64(32)) | np.array(ids, np.uint64)
    return starts, entries


def places_of(
    ngrams: Mapping[tuple[str, ...], int], words: Sequence[str], starts: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The n-grams as kernels.build_paths takes them."""
    place = dict(zip(words, starts.tolist(), strict=False))
    places = np.fromiter(map(place.__getitem__, chain.from_iterable(ngrams)), np.int64)
    ends = np.cumsum(np.fromiter(map(len, ngrams), np.int64, len(ngrams)))
    return places, ends, np.fromiter(ngrams.values(), np.int64, len(ngrams))
