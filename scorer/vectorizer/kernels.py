"""The compiled loops of the vectorizer: text to ids, and the hash table of n-grams.

A token is looked up as little-endian 8-byte words, zero-padded, and its length in bytes (which
tells "a" from "a\\0"). What is found is a *unit*: in its lower half the token's id (1 where the
vocabulary lacks it), in its upper half where the token's entry lies among all entries, 0 for none.

    entries  one word for a token's length in bytes (upper half) and its id (lower), then its bytes
    slots    open addressing, linear probing, at most half full: the upper half of a token's hash
             and where its entry begins. One slot and one entry are all that a look-up touches; a
             hit is confirmed word by word

An n-gram is a path: the unit of its first token and the entry of its second make a key, under which
lies the unit of the two, which the third continues, and so on. Keys hold places, not hashes, so
that equal keys are equal n-grams; a token without entry is part of none and costs no look-up.

    paths    open addressing as above: (slots, 2), the key and the unit

Importing this module imports Numba. The signatures are explicit, so that none is compiled again for
another kind of array; inputs may be read-only, as Arrow's buffers are. All release the GIL and
share nothing between calls.
"""

from __future__ import annotations

import numpy as np
from numba import types

from scorer.compiling.kernel import kernel, part

KEEP = 1 << 8  # the byte in the low 8 bits belongs to the token
BREAK = 1 << 9  # the token before this byte ends here

# 2^64 divided by the golden ratio, made odd: its multiples spread over all the upper bits.
_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)
_HALF = np.uint64(32)
_ONE = np.uint64(1)
_LOWER = np.uint64(0xFFFFFFFF)
_NONE_YET = 1 << 30  # a size beyond that of any n-gram
_UPPER = ~_LOWER


def _array(dtype: types.Type, dimensions: int = 1, *, written: bool = False) -> types.Array:
    return types.Array(dtype, dimensions, "C", readonly=not written)


_BYTES = _array(types.uint8)
_ACTIONS = _array(types.uint16)
_LENGTHS = _array(types.int64)
_WORDS = _array(types.uint64)
_PAIRS = _array(types.uint64, 2)
_SLOTS = _array(types.uint64, written=True)
_PATHS = _array(types.uint64, 2, written=True)
_IDS = _array(types.int32, written=True)
_ENDS = _array(types.int64, written=True)
_COUNTS = _array(types.int32, 2, written=True)
_TABLES = types.Tuple((_WORDS, _WORDS, _PAIRS))  # type: ignore[no-untyped-call] # as `tokenize`


@part
def _mix(state: np.uint64, word: np.uint64) -> np.uint64:
    """Hash one more word: multiply, then fold the well-mixed upper half into the lower, which
    selects the slot."""
    state = (state ^ word) * _MULTIPLIER
    return state ^ (state >> _HALF)


def _slots(entries: int) -> int:
    """A power of two that leaves half of the slots free."""
    size = 16
    while size < 2 * entries:
        size *= 2
    return size


@part
def _find(
    slots: np.ndarray, entries: np.ndarray, state: np.uint64, key: np.ndarray, length: np.uint64
) -> np.uint64:
    """The unit of the token with this hash, these words and this length."""
    mask = np.uint64(slots.size - 1)
    slot = state & mask
    while slots[slot]:
        if slots[slot] & _UPPER == state & _UPPER:
            start = slots[slot] & _LOWER
            same = entries[start] >> _HALF == length
            if same:
                for k in range((np.int64(length) + 7) // 8):
                    same = same and entries[start + np.uint64(k + 1)] == key[k]
            if same:
                return np.uint64((start << _HALF) | (entries[start] & _LOWER))
        slot = (slot + _ONE) & mask
    return _ONE


@part
def _path_slot(paths: np.ndarray, key: np.uint64) -> np.uint64:
    """Where the key lies, or the free slot for it."""
    mask = np.uint64(len(paths) - 1)
    slot: np.uint64 = _mix(np.uint64(0), key) & mask
    while paths[slot, 0] and paths[slot, 0] != key:
        slot = (slot + _ONE) & mask
    return slot


def build_paths(
    places: np.ndarray, ends: np.ndarray, ids: np.ndarray, first_free: int
) -> np.ndarray:
    """The paths, uint64 (slots, 2), of distinct n-grams of two tokens or more.

    places      where the entries of all their tokens begin, one n-gram after another
    ends, ids   (n-grams,), where each n-gram ends in `places`, and its id
    first_free  a place behind all entries; what lies behind is free to name parts of n-grams

    There is room for the n-grams at first: of most vocabularies all their parts are n-grams too.
    """
    paths = np.zeros((_slots(ids.size), 2), np.uint64)
    while ids.size and not fill_paths(places, ends, ids, first_free, paths):
        paths = np.zeros((2 * len(paths), 2), np.uint64)
    return paths


@kernel(signature=(_LENGTHS, _LENGTHS, _LENGTHS, types.int64, _PATHS))
def fill_paths(
    places: np.ndarray, ends: np.ndarray, ids: np.ndarray, first_free: int, paths: np.ndarray
) -> bool:
    """Put the n-grams into paths that are all 0; False where they would fill more than a half."""
    free = np.uint64(first_free)
    most = free + np.uint64(len(paths) // 2)
    begin = np.int64(0)
    for index in range(ids.size):
        left, slot = np.uint64(places[begin]), np.uint64(0)
        for k in range(begin + 1, ends[index]):
            key = (left << _HALF) | np.uint64(places[k])
            slot = _path_slot(paths, key)
            if not paths[slot, 0]:
                if free == most:
                    return False
                paths[slot, 0] = key
                paths[slot, 1] = (free << _HALF) | _ONE
                free += _ONE
            left = paths[slot, 1] >> _HALF
        paths[slot, 1] = (left << _HALF) | np.uint64(ids[index])
        begin = ends[index]
    return True


@part
def _longer(unit: np.uint64, token: np.uint64, paths: np.ndarray) -> np.uint64:
    """The unit of an n-gram and one more token."""
    right = token >> _HALF
    if not unit >> _HALF or not right:
        return _ONE
    slot = _path_slot(paths, (unit & _UPPER) | right)
    return np.uint64(paths[slot, 1]) if paths[slot, 0] else _ONE


@part
def _append(
    ids: np.ndarray,
    total: int,
    units: np.ndarray,
    ngrams: np.ndarray,
    tokens: int,
    limit: int,
    sizes: np.ndarray,
    paths: np.ndarray,
) -> int:
    """Put a row's n-grams of each size, at most `limit`, behind the first `total` ids; how many ids
    there are then. -1: `ids` has no room for them.

    units, ngrams uint64 (at least tokens,): the tokens' units, and scratch for those of the n-grams
    that begin at each token. They grow from one size to the next, where that is not smaller.
    """
    left, width = limit, _NONE_YET
    for size in sizes:
        count = max(min(tokens - size + 1, left), 0)
        if total + count > ids.size:
            return -1
        if size < width:
            for first in range(tokens):
                ngrams[first] = units[first]
            width = 1
        for grown in range(width, size):
            for first in range(min(tokens - grown, limit)):
                ngrams[first] = _longer(ngrams[first], units[first + grown], paths)
        width = size
        for first in range(count):
            ids[total + first] = np.int32(ngrams[first] & _LOWER)
        total += count
        left -= count
    return total


def tokenize(
    data: np.ndarray,
    offsets: np.ndarray,
    actions: np.ndarray,
    limit: int,
    longest: int,
    sizes: np.ndarray,
    tables: tuple[np.ndarray, ...],
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Ids, offsets, n_tokens and n_oov of a TokenBatch.

    `data` (bytes,) and `offsets` (rows + 1,) are the text column. `actions` (256,) says what each
    byte does: KEEP its low 8 bits, BREAK, both or neither. `limit` is the most ids a row keeps,
    `longest` the length of the longest entry in words. A row's ids are those of its n-grams of
    each of `sizes` in turn; `tables` are slots, entries and paths.
    """
    rows = offsets.size - 1
    row_ends, counts = np.zeros(rows + 1, np.int64), np.empty((2, rows), np.int32)
    scratch = np.empty((2, int(np.diff(offsets).max(initial=0))), np.uint64)
    # A token longer than every entry overwrites the last word; its length keeps it from matching.
    key = np.zeros(longest + 1, np.uint64)
    ids = np.empty(64 + (offsets[rows] - offsets[0]) // 5, np.int32)
    row, given = 0, (data, offsets, actions, limit, sizes, tables)
    while row < rows:
        row = tokenize_rows(row, *given, ids, row_ends, counts, scratch, key)
        if row < rows:  # its ids have no room
            most = min(limit, int(offsets[row + 1] - offsets[row]) * sizes.size)
            ids = np.concatenate([ids, np.empty(max(ids.size, most), np.int32)])
    return ids[: row_ends[rows]].copy(), row_ends, counts[0], counts[1]


# One long function on purpose: as a function of its own, the loop that gathers a token costs half
# the speed. It allocates nothing: code that may allocate takes twice as long to compile.
@kernel(
    signature=(
        types.int64,
        *(_BYTES, _LENGTHS, _ACTIONS, types.int64, _LENGTHS, _TABLES),
        *(_IDS, _ENDS, _COUNTS, _PATHS, _SLOTS),
    )
)
def tokenize_rows(
    row: int,
    data: np.ndarray,
    offsets: np.ndarray,
    actions: np.ndarray,
    limit: int,
    sizes: np.ndarray,
    tables: tuple[np.ndarray, ...],
    ids: np.ndarray,
    row_ends: np.ndarray,
    counts: np.ndarray,
    scratch: np.ndarray,
    key: np.ndarray,
) -> int:
    """Tokenize from `row` on; the first row that is left, because its ids have no room in `ids`.

    ids       int32, written from row_ends[row] on
    row_ends  int64 (rows + 1,), written behind `row`
    counts    int32 (2, rows), n_tokens and n_oov, written from `row` on
    scratch   uint64 (2, bytes of the longest row)
    key       uint64 (longest + 1,): scratch
    """
    slots, entries, paths = tables
    units, ngrams = scratch[0], scratch[1]
    longest, total = key.size - 1, row_ends[row]
    while row < offsets.size - 1:
        i, end = offsets[row], offsets[row + 1]
        tokens = oov = np.int64(0)
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
            unit = _find(slots, entries, state, key, np.uint64(length))
            oov += unit & _LOWER == _ONE
            units[tokens] = unit
            tokens += 1
        total = _append(ids, total, units, ngrams, tokens, limit, sizes, paths)
        if total < 0:
            return row
        row_ends[row + 1] = total
        counts[0, row], counts[1, row] = tokens, oov
        row += 1
    return row
