"""CSV records told apart by a pattern, a block of bytes at a time: most of most files.

Python's csv module takes a record line by line and character by character. A pattern finds its end
in a quarter of the time. What it does not match for certain as the module reads it, goes to the
module: broken quotes, another number of fields, blank lines, a CR alone, NUL, invalid UTF-8.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import BinaryIO

from scorer.tables.window import Record

BLOCK_BYTES = 1 << 18


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
    """Matches a record of `width` fields. Each that stands at one of `places`, in their order, has
    two groups: what is between its quotes, or the field if it has none."""
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
    return re.compile(b"".join(parts) + rb"\r?\n")


class PlainRecords:
    """Takes records from blocks for as long as the pattern matches.

    A broken record costs a look at all that is left of a block. So no more bytes are looked at in
    vain than were read: `read` is told of those that the csv module has read instead.
    """

    def __init__(self, blocks: Blocks, delimiter: str, width: int, places: Sequence[int]) -> None:
        self._blocks = blocks
        self._match = record_pattern(delimiter, width, places).match
        order = sorted(set(places))
        self._quoted = [2 * order.index(place) + 1 for place in places]
        self._in_vain = self._read = 0

    def read(self, size: int) -> None:
        self._read += size

    def __iter__(self) -> Iterator[Record]:
        """The next records, up to the first that the csv module must read, or the end."""
        blocks, match, quoted = self._blocks, self._match, self._quoted
        if self._in_vain > self._read or b"\0" in blocks.data:
            return
        has_more = False  # whether the block has just got more bytes
        while True:
            found = match(blocks.data, blocks.at)
            if found is None:
                if has_more or not blocks.more() or b"\0" in blocks.data:
                    self._in_vain += len(blocks.data)
                    return
                has_more = True
                continue
            has_more = False
            raw = found[0]
            if len(raw) <= 2 or not _is_utf8(raw):  # it may be a blank line
                return
            blocks.at = found.end()
            self._read += len(raw)
            yield Record(raw, [_field(found[group], found, group) for group in quoted])


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


def _field(inner: bytes | None, found: re.Match[bytes], group: int) -> str:
    """A field's text, from what is between its quotes; None where it has none."""
    if inner is None:
        return found[group + 1].decode()
    return (inner.replace(b'""', b'"') if b'"' in inner else inner).decode()


def _is_utf8(raw: bytes) -> bool:
    if raw.isascii():
        return True
    try:
        raw.decode()
    except UnicodeDecodeError:
        return False
    return True
