"""The physical lines of a text file, and those of one CSV record for the csv module."""

from __future__ import annotations

import io
import re
from collections import deque
from typing import BinaryIO, Protocol

from scorer.tables.text.plain import Blocks
from scorer.tables.window import RECORD_BYTES

MAX_RECORD_BYTES = RECORD_BYTES
CHUNK_BYTES = 1 << 18
BOM = b"\xef\xbb\xbf"
LF_END = (b"\n",)
ANY_END = (b"\n", b"\r")
LONE_CR = re.compile(rb"\r(?!\n)")


class LineSource(Protocol):
    """What lines are read from: a binary file, or `AnyLineEnds` around one."""

    def readline(self, limit: int, /) -> bytes: ...


class AnyLineEnds:
    """The lines of a stream that end with CR, LF or both, as those of an old Mac do.

    `start` is what was read of the stream before.
    """

    def __init__(self, start: bytes, stream: BinaryIO) -> None:
        self._start = io.BytesIO(start)
        self._stream = stream
        self._lines: deque[bytes] = deque()
        self._last = b""

    def readline(self, limit: int, /) -> bytes:
        """The next line, or the next `limit` bytes of it; nothing at the end."""
        while not self._lines:
            if len(self._last) >= limit:
                break
            data = self._start.read(CHUNK_BYTES) or self._stream.read(CHUNK_BYTES)
            if not data:
                break
            # The last line waits for more: it may be unfinished, or its CR belong to a CRLF.
            *whole, self._last = (self._last + data).splitlines(keepends=True)
            self._lines.extend(whole)
        if not self._lines:
            line, self._last = self._last[:limit], self._last[limit:]
            return line
        line = self._lines.popleft()
        if len(line) > limit:
            self._lines.appendleft(line[limit:])
        return line[:limit]


class RecordTooLong(Exception):
    """A record is longer than MAX_RECORD_BYTES: most often a quote that is never closed."""


class MustEndHere(Exception):
    """The record goes on, into lines of which it is known that it would not end."""


class RecordLines:
    """Decoded lines for csv.reader; keeps the raw lines of the record that is being read.

    A record that cannot be read costs its first line; the lines after it are read again. Whoever
    is still inside a quote on one of these would go the same way to the same failure, so up to
    the line that failed only records of one line are tried. So no line is parsed more than three
    times, however many quotes are broken.
    """

    def __init__(self, stream: BinaryIO, encoding: str) -> None:
        self.raw: list[bytes] = []
        self.broken: UnicodeDecodeError | None = None
        self.consumed = 0
        self._source: LineSource = stream
        self._stream = stream
        self._ends: tuple[bytes, ...] = LF_END
        self.encoding = encoding
        self._size = 0
        self._given_back: deque[bytes] = deque()
        self._ended = False
        self._alone_until = 0

    def begin(self) -> None:
        """Forget the record before: the next line starts another."""
        self.consumed += len(self.raw)
        self.raw, self.broken, self._size = [], None, 0

    def keep_first(self) -> None:
        """Give all but the record's first line back, to be read again."""
        failed = self.consumed + len(self.raw) - (0 if self._ended else 1)
        self._alone_until = max(self._alone_until, failed)
        self._give_back(1)
        skip_long_line(self._source, self.raw[0], MAX_RECORD_BYTES, self._ends)

    def give_back(self) -> None:
        """Give the whole record back, to be read again."""
        self._give_back(0)
        self.broken, self._size = None, 0

    def skip(self, size: int) -> None:
        """Count `size` bytes of the first line as a line of their own, not a record."""
        line = self.raw.pop()
        if line[size:]:
            self._given_back.appendleft(line[size:])
        self.raw, self._size = [line[:size]], 0
        self.begin()

    def first_line(self) -> bytes:
        """The next line as it is; `give_back` makes it the next one again."""
        line = self._next()
        if line:
            self.raw.append(line)
        return line

    @property
    def at_any_end(self) -> bool:
        """Whether a CR alone ends a line too."""
        return self._ends is ANY_END

    @property
    def at_a_record(self) -> bool:
        """Whether the next bytes of `blocks` begin a record, and not the file's first."""
        return not self._given_back and self.consumed >= max(self._alone_until, 1)

    def blocks(self) -> Blocks:
        """What follows, to be read in blocks too where it is not given back."""
        if not isinstance(self._source, Blocks):
            self._source = Blocks(self._stream)
        return self._source

    def end_at_any(self) -> None:
        """Read the record again, and all that follows, in lines that end with CR, LF or both."""
        read = b"".join([*self.raw, *self._given_back])
        self._given_back.clear()
        self._source = AnyLineEnds(read, self._stream)
        self._ends = ANY_END
        self.raw, self.broken, self._size = [], None, 0

    def __iter__(self) -> RecordLines:
        return self

    def __next__(self) -> str:
        if self.raw and self.consumed < self._alone_until:
            raise MustEndHere
        line = self._next()
        if not line:
            raise StopIteration
        self.raw.append(line)
        self._size += len(line)
        if self._size >= MAX_RECORD_BYTES:
            raise RecordTooLong
        return self._decoded(line)

    def _next(self) -> bytes:
        if self._given_back:
            self._ended = False
            return self._given_back.popleft()
        line = self._source.readline(MAX_RECORD_BYTES)
        self._ended = not line
        return line

    def _decoded(self, line: bytes) -> str:
        """The text of the record's last line; a byte order mark is not part of it."""
        if not self.consumed and len(self.raw) == 1 and self.encoding == "utf-8":
            line = line.removeprefix(BOM)
        try:
            return line.decode(self.encoding)
        except UnicodeDecodeError as error:
            # Parse on: the record's extent is still right, and it is set aside as a whole.
            self.broken = self.broken or error
            return line.decode(self.encoding, "replace")

    def _give_back(self, first: int) -> None:
        self._given_back.extendleft(reversed(self.raw[first:]))
        del self.raw[first:]


def skip_long_line(
    stream: LineSource, start: bytes, limit: int, ends: tuple[bytes, ...] = LF_END
) -> bool:
    """Whether `start` is but the first `limit` bytes of a line; the rest of it is read away."""
    if len(start) < limit or start.endswith(ends):
        return False
    while (piece := stream.readline(limit)) and not piece.endswith(ends):
        pass
    return True
