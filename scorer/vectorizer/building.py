"""The compiled loop that splits a vocabulary into the tokens and n-grams that are looked up.

A model may have some 350,000 n-grams, and every start splits them. `kernels.py` says what entries
are, and makes the hash tables of what is built here. Importing this module imports Numba.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import types

from scorer.compiling.kernel import kernel, part
from scorer.vectorizer.kernels import (
    _BYTES,
    _ENDS,
    _HALF,
    _LENGTHS,
    _LOWER,
    _ONE,
    _SLOTS,
    _UPPER,
    _mix,
    _slots,
)

#: where a word of the vocabulary is split: nowhere, at spaces, between characters and spaces
NOWHERE, AT_SPACES, AT_CHARACTERS = 0, 1, 2
_SPACE = 32
#: words of a vocabulary of n-grams for each token that they are made of, at first
_WORDS_A_TOKEN = 8


@dataclass(frozen=True)
class Built:
    """The tokens that count, and the n-grams of two or more.

    starts     int64 (tokens + 1,), where their entries begin, none at 0; at last, where all end
    entries    uint64, and
    slots      uint64, as kernels.py has them; a token that is only part of n-grams has the id 1
    places     int64, where the entries of all the n-grams' tokens begin, one n-gram after another
    ends, ids  int64 (n-grams,), where each n-gram ends in `places`, and its id
    """

    starts: np.ndarray
    entries: np.ndarray
    slots: np.ndarray
    places: np.ndarray
    ends: np.ndarray
    ids: np.ndarray


def build(data: np.ndarray, offsets: np.ndarray, split: int, sizes: tuple[int, ...]) -> Built:
    """Split the words of a vocabulary: bytes uint8 (bytes,), offsets int64 (words + 1,).

    Word i has the id i + 2. An n-gram of no size in `sizes` is left out, since no text has it.
    """
    words = len(offsets) - 1
    most = words + (np.count_nonzero(data == _SPACE) if split else 0)  # tokens
    wanted = np.zeros(max(sizes) + 1, np.int64)
    wanted[list(sizes)] = 1
    starts, places, ends, ids = np.empty((4, most + 1), np.int64)
    entries = np.empty(2 + 2 * most + len(data) // 8, np.uint64)
    entries[0] = 0
    cuts, counts = np.empty(max(sizes), np.int64), np.empty(4, np.int64)
    written = starts, entries, places, ends, ids, cuts, counts
    slots = np.zeros(_slots(words // _WORDS_A_TOKEN if split else words), np.uint64)
    while not add_words(data, offsets, split, wanted, slots, *written):
        slots = np.zeros(2 * slots.size, np.uint64)
    starts[counts[0]] = counts[1]
    return Built(
        starts[: counts[0] + 1].copy(),
        entries[: counts[1]].copy(),
        slots,
        places[: counts[2]].copy(),
        ends[: counts[3]].copy(),
        ids[: counts[3]].copy(),
    )


@part
def _cut(data: np.ndarray, at: int, end: int, split: int, cuts: np.ndarray) -> int:
    """How many tokens data[at:end] is, 0 where it is not tokens joined by spaces; where the first
    of them end, as many as `cuts` has room for."""
    count = 0
    while True:
        if split == NOWHERE:
            at = end
        elif split == AT_SPACES:
            while at < end and data[at] != _SPACE:
                at += 1
        else:
            at += 1
            while at < end and data[at] & 0xC0 == 0x80:  # the rest of a character in UTF-8
                at += 1
        if count < cuts.size:
            cuts[count] = at
        count += 1
        if at == end:
            return count
        at += 1  # the space
        if split == AT_CHARACTERS and (at == end or data[at - 1] != _SPACE):
            return 0


@part
def _entry_of(
    data: np.ndarray,
    at: int,
    end: int,
    token: int,
    slots: np.ndarray,
    starts: np.ndarray,
    entries: np.ndarray,
    counts: np.ndarray,
) -> np.int64:
    """Where the entry of data[at:end] begins, which is added with the id `token` if it is new."""
    free: np.int64 = counts[1]
    length = np.uint64(end - at)
    size = 1 + (end - at + 7) // 8
    for k in range(free, free + size):
        entries[k] = np.uint64(0)
    for k in range(end - at):
        entries[free + 1 + k // 8] |= np.uint64(data[at + k]) << np.uint64((k & 7) << 3)
    state = np.uint64(0)
    for k in range(free + 1, free + size):
        state = _mix(state, entries[k])
    state = _mix(state, length)
    mask = np.uint64(slots.size - 1)
    slot = state & mask
    while slots[slot]:
        if slots[slot] & _UPPER == state & _UPPER:
            start = np.int64(slots[slot] & _LOWER)
            same = entries[start] >> _HALF == length
            for k in range(1, size if same else 0):
                same = same and entries[start + k] == entries[free + k]
            if same:
                return np.int64(start)
        slot = (slot + _ONE) & mask
    entries[free] = (length << _HALF) | np.uint64(token)
    slots[slot] = (state & _UPPER) | np.uint64(free)
    starts[counts[0]] = free
    counts[0] += 1
    counts[1] += size
    return free


@kernel(
    signature=(
        *(_BYTES, _LENGTHS, types.int64, _LENGTHS),
        *(_SLOTS, _ENDS, _SLOTS, _ENDS, _ENDS, _ENDS, _ENDS, _ENDS),
    )
)
def add_words(
    data: np.ndarray,
    offsets: np.ndarray,
    split: int,
    wanted: np.ndarray,
    slots: np.ndarray,
    starts: np.ndarray,
    entries: np.ndarray,
    places: np.ndarray,
    ends: np.ndarray,
    ids: np.ndarray,
    cuts: np.ndarray,
    counts: np.ndarray,
) -> bool:
    """Write what a Built holds, into slots that are all 0; False where they are too few.

    Tokens with an id come first, and then what n-grams have beside them: texts have those most.

    wanted  int64 (most tokens + 1,), whether n-grams of so many tokens count
    cuts    int64 (most tokens,): scratch
    counts  int64 (4,), how much of `starts`, `entries`, `places` and `ends` is in use
    """
    counts[:] = 0
    counts[1] = 1
    for ngrams in range(2 if split != NOWHERE else 1):
        for word in range(offsets.size - 1):
            at = offsets[word]
            tokens = _cut(data, at, offsets[word + 1], split, cuts)
            if ngrams == 0 and tokens != 1:
                continue
            if ngrams == 1 and (tokens < 2 or tokens >= wanted.size or not wanted[tokens]):
                continue
            if 2 * (counts[0] + tokens) > slots.size:
                return False
            for k in range(tokens):
                token = 1 if ngrams else word + 2
                place = _entry_of(data, at, cuts[k], token, slots, starts, entries, counts)
                at = cuts[k] + 1
                if ngrams:
                    places[counts[2]] = place
                    counts[2] += 1
            if ngrams:
                ends[counts[3]], ids[counts[3]] = counts[2], word + 2
                counts[3] += 1
    return True
