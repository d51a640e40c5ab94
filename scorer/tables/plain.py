"""CSV records told apart by a pattern, a block of bytes at a time: most of most files.

Python's csv module takes a record line by line and character by character. A pattern finds its end
in a quarter of the time. What it does not match for certain as the module reads it, goes to the
module: broken quotes, another number of fields, blank lines, a CR alone, NUL, invalid UTF-8.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Sequence
from typing import BinaryIO

import numpy as np

from scorer.tables.window import Records

BLOCK_BYTES = 1 << 18
_TWO_QUOTES = re.compile(b'""')  # faster than bytes.replace, which looks for them twice


class Blocks:
    """A stream whose next bytes lie in `data`, from `at` on."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self.data, self.at = b"", 0

    def more(self) -> bool:
        """Have more bytes behind those that are left; False at the stream's end."""
        piece: bytes = getattr(self._stream, "read1", self._stream.read)(BLOCK_BYTES)
        self.data, self.at = self.data[self.at :] + piece, 0
        return bool(piece)

    def lines(self, limit: int) -> list[bytes]:
        """The lines of which the ends are in `data`, which has more bytes before if there are none;
        nothing at the stream's end, or where one may be longer than `limit`."""
        if self.data.find(b"\n", self.at) < 0:
            self.more()
        if len(self.data) - self.at > limit:
            return []
        at, self.at = self.at, self.data.rfind(b"\n", self.at) + 1 or self.at
        return io.BytesIO(self.data[at : self.at]).readlines()

    def readline(self, limit: int, /) -> bytes:
        """The next line, or its first `limit` bytes."""
        at, left = self.at, len(self.data) - self.at
        self.at = self.data.find(b"\n", at, at + limit) + 1
        if not self.at and left < limit:
            rest, self.data = self.data[at:], b""
            return rest + self._stream.readline(limit - left)
        self.at = self.at or at + limit
        return self.data[at : self.at]


def record_pattern(delimiter: str, width: int, places: Sequence[int]) -> re.Pattern[bytes]:
    """Matches a record of `width` fields, or else all that follows. The first group is the record;
    each field that stands at one of `places`, in their order, has two: what is between its quotes,
    or the field if it has none."""
    mark = re.escape(delimiter.encode())
    quoted, bare = rb'[^"]*+(?:""[^"]*+)*+', rb'[^"\r\n' + mark + rb"]*+"
    field, group = b'(?:"%b"|%b)' % (quoted, bare), b'(?:"(%b)"|(%b))' % (quoted, bare)
    parts, after = [], 0
    for place in sorted(set(places)):
        parts += [b"(?:%b%b){%d}" % (field, mark, place - after), group]
        parts.append(mark if place + 1 < width else b"")
        after = place + 1
    if after < width:
        parts.append(b"(?:%b%b){%d}%b" % (field, mark, width - after - 1, field))
    return re.compile(rb"(%b\r?\n)|[\s\S]+" % b"".join(parts))


class PlainRecords:
    """Takes records from blocks for as long as the pattern matches.

    A broken record costs a look at all that is left of a block. So no more bytes are looked at in
    vain than were read: `read` is told of those that the csv module has read instead.
    """

    def __init__(self, blocks: Blocks, delimiter: str, width: int, places: Sequence[int]) -> None:
        self._blocks = blocks
        self._find = record_pattern(delimiter, width, places).findall
        order = sorted(set(places))
        self._groups = [1 + 2 * order.index(place) for place in places]
        self._in_vain = self._read = 0

    def read(self, size: int) -> None:
        self._read += size

    def __iter__(self) -> Iterator[tuple[Records, int]]:
        """The next records and how many line ends they have, up to the first record that the csv
        module must read, or the end."""
        blocks = self._blocks
        if self._in_vain > self._read or b"\0" in blocks.data:
            return
        has_more = False  # whether the block has just got more bytes
        while True:
            begin = blocks.at
            records, goes_on = self._take()
            if records.raw:
                self._read += blocks.at - begin
                yield records, _line_ends(blocks.data, begin, blocks.at)
            if not goes_on:
                return
            in_vain = has_more and not records.raw
            if in_vain or not blocks.more() or b"\0" in blocks.data:
                self._in_vain += len(blocks.data)
                return
            has_more = True

    def _take(self) -> tuple[Records, bool]:
        """The records that the block has next, and whether the pattern takes all before them."""
        found = self._find(self._blocks.data, self._blocks.at)
        if not found or not found[0][0]:
            return Records(), True
        raw, *groups = zip(*found, strict=True)
        whole = len(raw) if raw[-1] else len(raw) - 1  # the last one is what no record matched
        end = _certain(raw[:whole])
        self._blocks.at += sum(map(len, raw[:end]))
        columns = [_fields(groups[at - 1][:end], groups[at][:end]) for at in self._groups]
        return Records(raw[:end], columns), end == whole


def run_pattern(delimiter: str) -> re.Pattern[bytes]:
    """Matches records of any number of fields, each with a quoted one."""
    mark = re.escape(delimiter.encode())
    quoted, bare = rb'"[^"]*+(?:""[^"]*+)*+"', rb'[^"\r\n' + mark + rb"]*+"
    parts = (bare, mark, quoted, mark, quoted, bare)
    return re.compile(rb"(?:(?:%b%b)*+%b(?:%b(?:%b|%b))*+\r?\n)*+" % parts)


class PlainRuns:
    """Passes over many records at once, for as long as it is sure where they end.

    Without a quote every line end is one; with quotes, a pattern tells. As with `PlainRecords` no
    more bytes are looked at in vain than were read.
    """

    def __init__(self, blocks: Blocks, delimiter: str) -> None:
        self._blocks = blocks
        self._match = run_pattern(delimiter).match
        self._in_vain = self._read = 0

    def read(self, size: int) -> None:
        self._read += size

    def __iter__(self) -> Iterator[int]:
        """The bytes of run after run, up to the first record that the csv module must read."""
        blocks = self._blocks
        if self._in_vain > self._read:
            return
        has_more = False  # whether the block has just got more bytes
        while True:
            size = self._certain(blocks.data, blocks.at) - blocks.at
            if size:
                blocks.at += size
                self._read += size
                has_more = False
                yield size
                continue
            if has_more or not blocks.more():
                self._in_vain += len(blocks.data)
                return
            has_more = True

    def _certain(self, data: bytes, at: int) -> int:
        """Where the last record begins of which that is certain."""
        while True:
            quote = data.find(b'"', at)
            at = max(at, data.rfind(b"\n", at, quote if quote >= 0 else len(data)) + 1)
            end = at if quote < 0 else self._match(data, at).end()  # type: ignore[union-attr]
            if end == at:
                return at
            at = end


def _certain(raw: Sequence[bytes]) -> int:
    """How many records come before the first that may be a blank line or is not UTF-8."""
    others = b"".join([each for each in raw if not each.isascii()])
    if min(map(len, raw)) > 2 and _is_utf8(others):
        return len(raw)
    odd = (i for i, each in enumerate(raw) if len(each) <= 2 or not _is_utf8(each))
    return next(odd, len(raw))


def _fields(quoted: Sequence[bytes], bare: Sequence[bytes]) -> Sequence[bytes]:
    """Each record's field: from what is between its quotes, or as it stands."""
    if not any(quoted):
        return bare
    pairs = zip(quoted, bare, strict=True)
    return [(_TWO_QUOTES.sub(b'"', q) if b'"' in q else q) or b for q, b in pairs]


def _line_ends(data: bytes, begin: int, end: int) -> int:
    return int(np.count_nonzero(np.frombuffer(data, np.uint8, end - begin, begin) == ord("\n")))


def _is_utf8(raw: bytes) -> bool:
    try:
        raw.decode()
    except UnicodeDecodeError:
        return False
    return True
