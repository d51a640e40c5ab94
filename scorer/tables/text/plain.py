"""Records and lines told apart in compiled loops, a block of bytes at a time: most of most files.

Python's csv and json modules make an object of every value, and hold the GIL meanwhile. The loops
do neither. What they do not take for certain as the module reads it, goes to the module: broken
quotes, another number of fields, blank lines, a CR alone, NUL, invalid UTF-8, JSON that is unusual.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, BinaryIO

import numpy as np

from scorer.tables.window import LOOP_BYTES, Records

if TYPE_CHECKING:
    from scorer.tables.text.fields import DelimitedFields, ObjectFields

BLOCK_BYTES = 1 << 18
# What a look in vain at a single record costs, in bytes that the loop reads meanwhile.
TRIAL_BYTES = 1 << 12


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

    def lines(self, limit: int, about: int) -> list[bytes]:
        """Lines of `about` so many bytes or one, of which the ends are in `data`, which has more
        bytes before if there are none; nothing at the stream's end, or where one may be longer than
        `limit`."""
        if self.data.find(b"\n", self.at) < 0:
            self.more()
        if len(self.data) - self.at > limit:
            return []
        end = self.data.find(b"\n", self.at) + 1 or self.at
        at, self.at = self.at, max(self.data.rfind(b"\n", self.at, self.at + about) + 1, end)
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


class PlainRecords:
    """Takes records from blocks for as long as a compiled loop is sure of them.

    It takes a while to load, and once to compile: the first rows are the csv module's. A broken
    record may cost a look at all that is left of a block. So no more bytes are looked at in vain
    than were read: `read` is told of those that the csv module has read instead.
    """

    def __init__(self, blocks: Blocks, delimiter: str, width: int, places: Sequence[int]) -> None:
        self._blocks = blocks
        self._what = (delimiter, width, places)
        self._in_vain = self._read = 0

    @cached_property
    def _fields(self) -> DelimitedFields:
        from scorer.tables.text.fields import DelimitedFields  # which imports Numba

        return DelimitedFields(*self._what)

    def read(self, size: int) -> None:
        self._read += size

    def __iter__(self) -> Iterator[tuple[Records, int]]:
        """The next records and how many line ends they have, up to the first record that the csv
        module must read, or the end."""
        blocks = self._blocks
        if self._read + len(blocks.data) - blocks.at < LOOP_BYTES or self._in_vain > self._read:
            return
        has_more = False  # whether the block has just got more bytes
        while True:
            records, end, refused = self._fields.take(blocks.data, blocks.at)
            if len(records.raw):
                begin, blocks.at, has_more = blocks.at, end, False
                self._read += end - begin
                yield records, _line_ends(blocks.data, begin, end)
            if refused:
                self._in_vain += TRIAL_BYTES
                return
            if len(records.raw):
                continue
            if has_more or not blocks.more():
                self._in_vain += len(blocks.data)
                return
            has_more = True


class PlainObjects:
    """Takes lines with an object from blocks, up to the first that the json module must read."""

    def __init__(
        self,
        blocks: Blocks,
        keys: Sequence[str],
        reserved: frozenset[str],
        longest: int,
        said: Callable[[object], str | None],
    ) -> None:
        """The arguments are those of `ObjectFields`."""
        self._blocks = blocks
        self._what = (keys, reserved, longest, said)

    @cached_property
    def _fields(self) -> ObjectFields:
        from scorer.tables.text.fields import ObjectFields  # which imports Numba

        return ObjectFields(*self._what)

    def __iter__(self) -> Iterator[Records]:
        blocks, has_more = self._blocks, False
        while blocks.at < len(blocks.data) or blocks.more():
            records, blocks.at, refused = self._fields.take(blocks.data, blocks.at)
            if len(records.raw):
                has_more = False
                yield records
            elif refused or has_more or not blocks.more():
                return
            else:
                has_more = True


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


def _line_ends(data: bytes, begin: int, end: int) -> int:
    return int(np.count_nonzero(np.frombuffer(data, np.uint8, end - begin, begin) == ord("\n")))
