"""The compiled loops of the text formats: records told apart, their fields gathered, cells put in.

What these take is what Python's csv and json modules read alike for certain. They stop before the
first record that may be anything else: broken quotes, another number of fields, invalid UTF-8,
values that JSON does not name, half of a surrogate pair. Whoever called them has a module read it.

A field is where it begins and ends in the data, and of one kind:

    PLAIN     text as it stands
    DOUBLED   text in which two quotes stand for one (CSV)
    ESCAPED   text with a backslash before some characters (JSON)
    NOTHING   null, or no such key (JSON)
    OTHER     a value that is not text (JSON)

All release the GIL and allocate nothing. Importing this module imports Numba.
"""

from __future__ import annotations

import numpy as np
from numba import types

from scorer.compiling.kernel import kernel, part

PLAIN, DOUBLED, ESCAPED, NOTHING, OTHER = range(5)
# What a cell is put before: a record's line end, or an object's last brace.
LINE_END, BRACE = range(2)

QUOTE, BACKSLASH, OPEN, CLOSE = ord('"'), ord("\\"), ord("{"), ord("}")
CR, LF, TAB, SPACE = ord("\r"), ord("\n"), ord("\t"), ord(" ")
ZERO, NINE, LETTER_U = ord("0"), ord("9"), ord("u")
# A record this short may be a blank line.
_BLANK_BYTES = 2


def _array(dtype: types.Type, dimensions: int = 1, *, written: bool = False) -> types.Array:
    return types.Array(dtype, dimensions, "C", readonly=not written)


BYTES = _array(types.uint8)
PLACES = _array(types.int64)
_OFFSETS = _array(types.int32)
ENDS = _array(types.int32, written=True)
BOUNDS = _array(types.int32, 3, written=True)
KINDS = _array(types.uint8, 2, written=True)
_OUT = _array(types.uint8, written=True)


@part
def _find(data: np.ndarray, i: int, end: int, byte: int) -> int:
    """Where the byte is first between `i` and `end`; `end`, if it is not."""
    while i < end and data[np.uint64(i)] != byte:  # an index that may be negative costs a test
        i += 1
    return i


@part
def is_sure(data: np.ndarray, begin: int, end: int) -> bool:
    """Whether bytes are UTF-8 without NUL."""
    high, low = np.uint8(0), np.uint8(255)
    for i in range(np.uint64(begin), np.uint64(end)):
        high |= data[i]
        low = min(low, data[i])
    if low == 0:
        return False
    return bool(high < 0x80) or _is_utf8(data, begin, end)


@part
def _is_utf8(data: np.ndarray, i: int, end: int) -> bool:
    """As Python decodes it: no overlong forms, no surrogates, nothing beyond U+10FFFF."""
    while i < end:
        lead = data[i]
        i += 1
        if lead < 0x80:
            continue
        more = (lead >= 0xC2) + (lead >= 0xE0) + (lead >= 0xF0)
        if more == 0 or lead > 0xF4 or i + more > end or not _may_follow(lead, data[i]):
            return False
        for k in range(i, i + more):
            if data[k] & 0xC0 != 0x80:
                return False
        i += more
    return True


@part
def _may_follow(lead: int, byte: int) -> bool:
    """Whether a character's second byte is one that its first may have."""
    if lead == 0xE0:
        return byte >= 0xA0
    if lead == 0xED:
        return byte < 0xA0
    if lead == 0xF0:
        return byte >= 0x90
    return lead != 0xF4 or byte < 0x90


@part
def _field(data: np.ndarray, i: int, stops: np.ndarray) -> tuple[int, int, int, int]:
    """Where the text of the field at `i` begins and ends, what comes after it, its kind.

    `data.size` comes after it where its end may be missing.
    """
    size, begin = data.size, i
    if i >= size or data[i] != QUOTE:
        while i < size and not stops[data[np.uint64(i)]]:
            i += 1
        return begin, i, i, PLAIN
    begin, kind = i + 1, PLAIN
    i = begin
    while True:
        i = _find(data, i, size, QUOTE)
        if i + 1 >= size:
            return begin, size, size, kind
        if data[i + 1] != QUOTE:
            return begin, i, i + 1, kind
        kind = DOUBLED
        i += 2


@kernel(
    signature=(
        *(BYTES, types.int64, types.int64, BYTES, types.int64, PLACES),
        *(ENDS, BOUNDS, KINDS),
    )
)
def delimited_records(
    data: np.ndarray,
    at: int,
    delimiter: int,
    stops: np.ndarray,
    width: int,
    places: np.ndarray,
    ends: np.ndarray,
    bounds: np.ndarray,
    kinds: np.ndarray,
) -> int:
    """How many records of `width` fields begin at `at`, one after another, at most `ends.size`.

    Of this number n, -1 - n where the next record is refused; n where its end may be missing.

    stops   uint8 (256,), whether a byte ends a field without quotes, or may not be in one
    places  the fields that are wanted, in ascending order
    ends    int32 (records,), where each record ends, its line end included
    bounds  int32 (places, records, 2), where each wanted field begins and ends
    kinds   uint8 (places, records)
    """
    row, i, size = 0, at, data.size
    while row < ends.size:
        start, wanted = i, 0
        for number in range(width):
            begin, end, i, kind = _field(data, i, stops)
            if wanted < places.size and places[wanted] == number:
                bounds[wanted, row, 0], bounds[wanted, row, 1] = begin, end
                kinds[wanted, row] = kind
                wanted += 1
            if i >= size:
                return row
            if number + 1 < width:
                if data[i] != delimiter:
                    return -1 - row
                i += 1
        i += data[i] == CR
        if i >= size:
            return row
        i += 1
        is_long = i - start > _BLANK_BYTES
        if data[i - 1] != LF or not is_long or not is_sure(data, start, i):
            return -1 - row
        ends[row] = i
        row += 1
    return row


@part
def hex_number(data: np.ndarray, i: int) -> int:
    """The number that four hexadecimal digits make; -1 where they are none."""
    number = digit = 0
    for k in range(i, i + 4):
        byte = data[k]
        lower = byte | 0x20
        if ZERO <= byte <= NINE:
            digit = byte - ZERO
        elif ord("a") <= lower <= ord("f"):
            digit = lower - ord("a") + 10
        else:
            return -1
        number = number * 16 + digit
    return number


@part
def _copy(data: np.ndarray, begin: int, end: int, out: np.ndarray, o: int) -> int:
    """Write a part of the data; where it ends."""
    to, at = np.uint64(o), np.uint64(begin)
    for k in range(np.uint64(end - begin)):
        out[to + k] = data[at + k]
    return o + end - begin


@part
def _put(out: np.ndarray, o: int, code: int) -> int:
    """Write a character as UTF-8; where it ends."""
    if code < 0x80:
        out[o] = np.uint8(code)
        return o + 1
    if code < 0x800:
        out[o] = np.uint8(0xC0 | code >> 6)
    else:
        if code < 0x10000:
            out[o] = np.uint8(0xE0 | code >> 12)
        else:
            out[o] = np.uint8(0xF0 | code >> 18)
            o += 1
            out[o] = np.uint8(0x80 | (code >> 12 & 0x3F))
        o += 1
        out[o] = np.uint8(0x80 | (code >> 6 & 0x3F))
    out[o + 1] = np.uint8(0x80 | (code & 0x3F))
    return o + 2


@part
def _unescaped(data: np.ndarray, i: int, out: np.ndarray, o: int) -> tuple[int, int]:
    """Write what the escape at `i` stands for; where both end."""
    byte = data[i + 1]
    if byte == LETTER_U:
        code = hex_number(data, i + 2)
        i += 6
        if 0xD800 <= code <= 0xDBFF:
            code = 0x10000 + ((code - 0xD800) << 10) + hex_number(data, i + 2) - 0xDC00
            i += 6
        return i, _put(out, o, code)
    if byte == ord("b"):
        byte = np.uint8(8)
    elif byte == ord("f"):
        byte = np.uint8(12)
    elif byte == ord("n"):
        byte = np.uint8(LF)
    elif byte == ord("r"):
        byte = np.uint8(CR)
    elif byte == ord("t"):
        byte = np.uint8(TAB)
    out[o] = byte
    return i + 2, o + 1


@kernel(signature=(BYTES, _array(types.int32, 2), BYTES, ENDS, _OUT))
def gather(
    data: np.ndarray, bounds: np.ndarray, kinds: np.ndarray, offsets: np.ndarray, out: np.ndarray
) -> None:
    """Write the texts of fields one behind another; NOTHING and OTHER have none.

    bounds   int32 (rows, 2)
    offsets  int32 (rows + 1,), where each text begins in `out`, and where the last one ends
    out      uint8, with room for all from their begins to their ends
    """
    o = 0
    for row in range(kinds.size):
        offsets[row] = o
        i, end = bounds[row, 0], bounds[row, 1]
        if kinds[row] == PLAIN:
            o = _copy(data, i, end, out, o)
        elif kinds[row] == DOUBLED:
            while i < end:
                stop = min(_find(data, i, end, QUOTE) + 1, end)
                o = _copy(data, i, stop, out, o)
                i = stop + 1
        elif kinds[row] == ESCAPED:
            while i < end:
                stop = _find(data, i, end, BACKSLASH)
                o = _copy(data, i, stop, out, o)
                i = stop
                if i < end:
                    i, o = _unescaped(data, i, out, o)
    offsets[kinds.size] = o


@kernel(signature=(types.int64, BYTES, _OFFSETS, BYTES, _OFFSETS, _OUT))
def splice(
    where: int,
    rows: np.ndarray,
    row_offsets: np.ndarray,
    cells: np.ndarray,
    cell_offsets: np.ndarray,
    out: np.ndarray,
) -> int:
    """Write each row with its cells put in `where`: LINE_END or BRACE; how many bytes they take.

    An object without keys gets its cells without their first byte, which is a comma.
    """
    o = 0
    for row in range(row_offsets.size - 1):
        begin, end = np.int64(row_offsets[row]), np.int64(row_offsets[row + 1])
        first, last = np.int64(cell_offsets[row]), np.int64(cell_offsets[row + 1])
        cut = end
        if where == BRACE:
            cut -= 1
            while rows[cut] != CLOSE:
                cut -= 1
            k = cut - 1
            while rows[k] == SPACE or rows[k] == TAB or rows[k] == CR or rows[k] == LF:
                k -= 1
            first += rows[k] == OPEN
        else:
            while cut > begin and (rows[cut - 1] == LF or rows[cut - 1] == CR):
                cut -= 1
        o = _copy(rows, begin, cut, out, o)
        o = _copy(cells, first, last, out, o)
        o = _copy(rows, cut, end, out, o)
    return o
