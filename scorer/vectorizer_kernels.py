"""The two compiled loops of the vectorizer: building its hash table, and text to ids.

A token is looked up as little-endian 8-byte words, zero-padded, and its length in bytes (which
tells "a" from "a\\0"). The table is open-addressed with linear probing, at most half full; a slot
holds a 64-bit hash and the index of a vocabulary entry, or -1. A hit is confirmed word by word.

Importing this module imports Numba and loads both loops (the very first time: compiles them). Their
signatures are explicit, so that neither is compiled again for another kind of array; inputs may be
read-only, as Arrow's buffers are. Both release the GIL and share nothing between calls.
"""

from __future__ import annotations

import numpy as np
from numba import njit, types

KEEP = 1 << 8  # the byte in the low 8 bits belongs to the token
BREAK = 1 << 9  # the token before this byte ends here

# 2^64 divided by the golden ratio, made odd: its multiples spread over all the upper bits.
_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)
_HALF = np.uint64(32)


def _vector(dtype: types.Type) -> types.Array:
    return types.Array(dtype, 1, "C", readonly=True)


_BYTES = _vector(types.uint8)
_ACTIONS = _vector(types.uint16)
_LENGTHS = _vector(types.int64)
_WORDS = _vector(types.uint64)
_TABLE = types.Tuple(  # type: ignore[no-untyped-call]
    (
        _WORDS,  # (slots,) hash
        _vector(types.int32),  # (slots,) index into the vocabulary, -1 = free
        _WORDS,  # (words,) all vocabulary entries, one after another
        _LENGTHS,  # (vocabulary + 1,) where each begins among the words
        _LENGTHS,  # (vocabulary,) its length in bytes
    )
)


@njit(nogil=True)
def _mix(state: np.uint64, word: np.uint64) -> np.uint64:
    """Hash one more word: multiply, then fold the well-mixed upper half into the lower, which
    selects the slot."""
    state = (state ^ word) * _MULTIPLIER
    return state ^ (state >> _HALF)


@njit((_WORDS, _LENGTHS, _LENGTHS), nogil=True, cache=True)
def build_slots(
    words: np.ndarray, starts: np.ndarray, lengths: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The table's hashes (slots,) uint64 and indices (slots,) int32, for distinct entries."""
    size = 16
    while size < 2 * lengths.size:
        size *= 2
    mask = np.uint64(size - 1)
    hashes = np.zeros(size, np.uint64)
    indices = np.full(size, -1, np.int32)
    for index in range(lengths.size):
        state = np.uint64(0)
        for k in range(starts[index], starts[index + 1]):
            state = _mix(state, words[k])
        state = _mix(state, np.uint64(lengths[index]))
        slot = state & mask
        while indices[slot] >= 0:
            slot = (slot + np.uint64(1)) & mask
        hashes[slot] = state
        indices[slot] = index
    return hashes, indices


@njit(nogil=True)
def _find(
    hashes: np.ndarray,
    indices: np.ndarray,
    words: np.ndarray,
    starts: np.ndarray,
    lengths: np.ndarray,
    state: np.uint64,
    key: np.ndarray,
    length: int,
) -> np.int64:
    """Index of the vocabulary entry with this hash, length and words, or -1."""
    mask = np.uint64(hashes.size - 1)
    slot = state & mask
    while indices[slot] >= 0:
        if hashes[slot] == state:
            index = np.int64(indices[slot])
            begin = starts[index]
            same = lengths[index] == length
            for k in range(begin, starts[index + 1]):
                same = same and words[k] == key[k - begin]
            if same:
                return index
        slot = (slot + np.uint64(1)) & mask
    return np.int64(-1)


@njit(nogil=True)
def _with_room(ids: np.ndarray, size: int) -> np.ndarray:
    if size <= ids.size:
        return ids
    larger = np.empty(max(size, 2 * ids.size), ids.dtype)
    larger[: ids.size] = ids
    return larger


# One long function on purpose: as a function of its own, the loop that gathers a token costs half
# the speed (Numba counts references to its arrays at every token), and so does a test for room at
# every token instead of every row.
@njit((_BYTES, _LENGTHS, _ACTIONS, types.int64, types.int64, _TABLE), nogil=True, cache=True)
def tokenize(
    data: np.ndarray,
    offsets: np.ndarray,
    actions: np.ndarray,
    limit: int,
    longest: int,
    table: tuple[np.ndarray, ...],
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Ids, offsets, n_tokens and n_oov of a TokenBatch.

    `data` (bytes,) and `offsets` (rows + 1,) are the text column. `actions` (256,) says what each
    byte does: KEEP its low 8 bits, BREAK, both or neither. `limit` is the most ids a row keeps,
    `longest` the length of the longest vocabulary entry in words.
    """
    hashes, indices, words, starts, lengths = table
    rows = offsets.size - 1
    row_ends = np.zeros(rows + 1, np.int64)
    n_tokens = np.zeros(rows, np.int32)
    n_oov = np.zeros(rows, np.int32)
    ids = np.empty(64 + (offsets[rows] - offsets[0]) // 5, np.int32)
    # A token longer than every entry overwrites the last word; its length keeps it from matching.
    key = np.zeros(longest + 1, np.uint64)
    total = 0
    for row in range(rows):
        i, end = offsets[row], offsets[row + 1]
        ids = _with_room(ids, total + min(end - i, limit))
        tokens = oov = 0
        while True:
            length = 0
            word = state = np.uint64(0)
            while i < end:
                action = actions[data[np.uint64(i)]]
                if action & BREAK and length > 0:
                    break
                i += 1
                if action & KEEP:
                    word |= np.uint64(action & 0xFF) << np.uint64((length & 7) << 3)
                    length += 1
                    if length & 7 == 0:
                        key[min((length >> 3) - 1, longest)] = word
                        state = _mix(state, word)
                        word = np.uint64(0)
            if length == 0:
                break
            if length & 7:
                key[min(length >> 3, longest)] = word
                state = _mix(state, word)
            state = _mix(state, np.uint64(length))
            token = _find(hashes, indices, words, starts, lengths, state, key, length) + 2
            oov += token == 1
            if tokens < limit:
                ids[total] = token
                total += 1
            tokens += 1
        row_ends[row + 1] = total
        n_tokens[row] = tokens
        n_oov[row] = oov
    return ids[:total].copy(), row_ends, n_tokens, n_oov
