"""The compiled loop that tells the objects on JSON Lines apart; see kernels.py.

It goes through all of an object by JSON's grammar, and is sure of less than the json module takes:
a key with escapes, a number of very many digits, a deeply nested value are the module's.
"""

from __future__ import annotations

import numpy as np
from numba import types

from scorer.compiling.kernel import kernel, part
from scorer.tables.text.kernels import (
    BACKSLASH,
    BOUNDS,
    BYTES,
    CLOSE,
    CR,
    ENDS,
    ESCAPED,
    KINDS,
    LETTER_U,
    LF,
    NINE,
    NOTHING,
    OPEN,
    OTHER,
    PLACES,
    PLAIN,
    QUOTE,
    SPACE,
    TAB,
    ZERO,
    hex_number,
    is_sure,
)

_COLON, _COMMA, _OPEN_LIST, _CLOSE_LIST = ord(":"), ord(","), ord("["), ord("]")
_POINT, _PLUS, _MINUS = ord("."), ord("+"), ord("-")
# What a backslash may stand before, besides u.
_SIMPLE = (QUOTE, BACKSLASH, ord("/"), ord("b"), ord("f"), ord("n"), ord("r"), ord("t"))
_MAX_NUMBER_BYTES = 300
_MAX_DEPTH = 60


@part
def _escape_end(data: np.ndarray, i: int) -> int:
    """Where the escape at `i` ends, that of a pair of surrogates being one; -1: not sure."""
    if i + 12 >= data.size:  # a pair has as many
        return -1
    if data[i + 1] != LETTER_U:
        return i + 2 if data[i + 1] in _SIMPLE else -1
    code = hex_number(data, i + 2)
    if code < 0xD800 or code > 0xDFFF:
        return i + 6 if code >= 0 else -1
    is_pair = code < 0xDC00 and data[i + 6] == BACKSLASH and data[i + 7] == LETTER_U
    return i + 12 if is_pair and hex_number(data, i + 8) >> 10 == 0x37 else -1


@part
def _string_end(data: np.ndarray, i: int) -> int:
    """Where the string ends whose first character is at `i`, doubled, and 1 more where it has
    escapes; -1: not sure."""
    size, escaped = data.size, 0
    while True:
        while i < size and _is_usual(data[np.uint64(i)]):
            i += 1
        if i >= size or data[i] < SPACE:
            return -1
        if data[i] == QUOTE:
            return 2 * i + escaped
        i, escaped = _escape_end(data, i), 1
        if i < 0:
            return -1


@part
def _is_usual(byte: int) -> bool:
    """Whether a byte stands for itself in a string."""
    return byte >= SPACE and byte != QUOTE and byte != BACKSLASH


@part
def _space_end(data: np.ndarray, i: int) -> int:
    """Where the white space at `i` ends; -1, what is not sure, stays it."""
    while 0 <= i < data.size and data[i] in (SPACE, TAB, CR):
        i += 1
    return i


@part
def _digits_end(data: np.ndarray, i: int) -> int:
    while i < data.size and ZERO <= data[i] <= NINE:
        i += 1
    return i


@part
def _number_end(data: np.ndarray, i: int) -> int:
    """Where a number ends; -1 where it is none, or a very long one."""
    size, begin = data.size, i
    i += i < size and data[i] == _MINUS
    end = _digits_end(data, i)
    if end == i or (data[i] == ZERO and end > i + 1):
        return -1
    i = end
    if i < size and data[i] == _POINT:
        end = _digits_end(data, i + 1)
        if end == i + 1:
            return -1
        i = end
    if i < size and (data[i] | 0x20) == ord("e"):
        i += 1
        i += i < size and (data[i] == _PLUS or data[i] == _MINUS)
        end = _digits_end(data, i)
        if end == i:
            return -1
        i = end
    return i if i - begin <= _MAX_NUMBER_BYTES else -1


@part
def _name_end(data: np.ndarray, i: int) -> int:
    """Where true, false or null ends; -1 where none of them is there."""
    if i + 5 >= data.size:
        return -1
    a, b, c, d = data[i], data[i + 1], data[i + 2], data[i + 3]
    if a == ord("t") and b == ord("r") and c == ord("u") and d == ord("e"):
        return i + 4
    if a == ord("n") and b == LETTER_U and c == ord("l") and d == ord("l"):
        return i + 4
    if a == ord("f") and b == ord("a") and c == ord("l") and d == ord("s"):
        return i + 5 if data[i + 4] == ord("e") else -1
    return -1


@part
def _simple_end(data: np.ndarray, i: int) -> int:
    """Where the value at `i` ends, which is neither an object nor a list; -1: not sure."""
    if i >= data.size:
        return -1
    if data[i] == QUOTE:
        end = _string_end(data, i + 1)
        return (end >> 1) + 1 if end >= 0 else -1
    is_number = data[i] == _MINUS or ZERO <= data[i] <= NINE
    value_end: int = _number_end(data, i) if is_number else _name_end(data, i)
    return value_end


@part
def _key_end(data: np.ndarray, i: int) -> int:
    """Where the value of the key at `i` begins; -1: not sure."""
    if i >= data.size or data[i] != QUOTE:
        return -1
    end = _string_end(data, i + 1)
    if end < 0:
        return -1
    i = _space_end(data, (end >> 1) + 1)
    return _space_end(data, i + 1) if i < data.size and data[i] == _COLON else -1


@part
def _nested_end(data: np.ndarray, i: int) -> int:
    """Where the object or list at `i` ends; -1: not sure."""
    depth, objects = 0, np.int64(0)  # a bit a level: whether it is an object
    while i >= 0 and depth < _MAX_DEPTH:
        # At a value.
        if i < data.size and data[i] in (OPEN, _OPEN_LIST):
            depth, objects = depth + 1, (objects << 1) | np.int64(data[i] == OPEN)
            i = _space_end(data, i + 1)
            if not _is_end(data, i, objects):
                i = _key_end(data, i) if objects & 1 else i
                continue
        else:
            i = _space_end(data, _simple_end(data, i))
        # Behind a value, or at the end of an empty object or list.
        while depth and _is_end(data, i, objects):
            i, depth, objects = i + 1, depth - 1, objects >> 1
            if depth:
                i = _space_end(data, i)
        if not depth:
            return i
        if i < 0 or i >= data.size or data[i] != _COMMA:
            return -1
        i = _space_end(data, i + 1)
        i = _key_end(data, i) if objects & 1 else i
    return -1


@part
def _is_end(data: np.ndarray, i: int, objects: int) -> bool:
    """Whether the innermost object or list ends at `i`."""
    return 0 <= i < data.size and data[i] == (CLOSE if objects & 1 else _CLOSE_LIST)


@part
def _key(
    data: np.ndarray, i: int, names: np.ndarray, name_ends: np.ndarray, wanted: int
) -> tuple[int, int]:
    """Where the value of the key at `i` begins, and which of the names it is, as many as there are:
    none; -1: not sure, or a name that is not wanted."""
    begin, count = _key_end(data, i), name_ends.size
    if begin < 0:
        return -1, count
    end = _string_end(data, i + 1)
    if end & 1:  # it may be one of the names, spelled otherwise
        return -1, count
    size, start = (end >> 1) - i - 1, np.int64(0)
    for k in range(count):
        stop = name_ends[k]
        if stop - start == size and _is_same(data, i + 1, names, start, size):
            return begin if k < wanted else -1, k
        start = stop
    return begin, count


@part
def _is_same(data: np.ndarray, at: int, names: np.ndarray, start: int, size: int) -> bool:
    differing = 0
    for j in range(size):
        differing += data[at + j] != names[start + j]
    return differing == 0


@part
def _value(data: np.ndarray, i: int) -> tuple[int, int]:
    """Where the value at `i` ends, and its kind; -1: not sure."""
    if i >= data.size:
        return -1, OTHER
    first = data[i]
    if first == QUOTE:
        end = _string_end(data, i + 1)
        return (end >> 1) + (end >= 0), ESCAPED if end & 1 else PLAIN
    if first in (OPEN, _OPEN_LIST):
        return _nested_end(data, i), OTHER
    return _simple_end(data, i), NOTHING if first == ord("n") else OTHER


@part
def _object_end(
    data: np.ndarray,
    i: int,
    names: np.ndarray,
    name_ends: np.ndarray,
    bounds: np.ndarray,
    kinds: np.ndarray,
    row: int,
) -> int:
    """Where the object at `i` ends, its fields noted; -1: not sure."""
    wanted = bounds.shape[0]
    for k in range(wanted):
        kinds[k, row] = NOTHING
        bounds[k, row, 0] = bounds[k, row, 1] = i
    i = _space_end(data, i + 1)
    if _is_end(data, i, 1):
        return i + 1
    while True:
        begin, which = _key(data, i, names, name_ends, wanted)
        if begin < 0:
            return -1
        end, kind = _value(data, begin)
        if end < 0 or (which == 0 and kind == OTHER):
            return -1
        if which < wanted:
            inside = kind in (PLAIN, ESCAPED)
            bounds[which, row, 0], bounds[which, row, 1] = begin + inside, end - inside
            kinds[which, row] = kind
        i = _space_end(data, end)
        if _is_end(data, i, 1):
            return i + 1
        if i >= data.size or data[i] != _COMMA:
            return -1
        i = _space_end(data, i + 1)


@kernel(
    signature=(
        *(BYTES, types.int64, types.int64, BYTES, PLACES),
        *(ENDS, BOUNDS, KINDS),
    )
)
def json_objects(
    data: np.ndarray,
    at: int,
    longest: int,
    names: np.ndarray,
    name_ends: np.ndarray,
    ends: np.ndarray,
    bounds: np.ndarray,
    kinds: np.ndarray,
) -> int:
    """How many lines that hold an object begin at `at`, at most `ends.size`.

    longest    of how many bytes a line may be
    names      the UTF-8 of the keys that are wanted, the text's first, and of those that no object
               may have, one after another
    name_ends  where each of these ends in `names`
    ends, bounds, kinds   as of `kernels.delimited_records`
    """
    row, i, size = 0, at, data.size
    while row < ends.size and i < size and data[i] == OPEN:
        end = _object_end(data, i, names, name_ends, bounds, kinds, row)
        if end < 0:
            return row
        end += end < size and data[end] == CR
        if end >= size or data[end] != LF or end >= i + longest:
            return row
        if not is_sure(data, i, end):
            return row
        i = end + 1
        ends[row] = i
        row += 1
    return row
