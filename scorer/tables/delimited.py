"""CSV and TSV: records parsed by the standard library's csv module, their bytes kept as they came.

The module is fed by an iterator that remembers the raw lines of the record being read. So a
record leaves with its quoting, line end and every character of its cells unchanged, and one that
cannot be read is set aside alone.
"""

from __future__ import annotations

import csv
from collections import deque
from collections.abc import Iterator, Sequence
from typing import BinaryIO

import pyarrow as pa

from scorer.errors import InputError
from scorer.tables.formats.base import Format, Output
from scorer.tables.window import (
    RECORD_BYTES,
    USUAL_SIZE,
    Record,
    Reject,
    Window,
    WindowSize,
    cut_windows,
    skip_long_line,
)

MAX_RECORD_BYTES = RECORD_BYTES
MAX_COLUMNS = 1 << 18
BOM = b"\xef\xbb\xbf"
UTF16_BOMS = (b"\xff\xfe", b"\xfe\xff")


class RecordTooLong(Exception):
    """A record is longer than MAX_RECORD_BYTES: most often a quote that is never closed."""


class _Lines:
    """Decoded lines for csv.reader; keeps the raw lines of the record that is being read."""

    def __init__(self, stream: BinaryIO, encoding: str) -> None:
        self.raw: list[bytes] = []
        self.broken: UnicodeDecodeError | None = None
        self.consumed = 0
        self._stream = stream
        self._encoding = encoding
        self._size = 0
        self._given_back: deque[bytes] = deque()

    def begin(self) -> None:
        """Forget the record before: the next line starts another."""
        self.consumed += len(self.raw)
        self.raw, self.broken, self._size = [], None, 0

    def keep_first(self) -> None:
        """Give all but the record's first line back, to be read again."""
        self._given_back.extendleft(reversed(self.raw[1:]))
        del self.raw[1:]
        skip_long_line(self._stream, self.raw[0], MAX_RECORD_BYTES)

    def __iter__(self) -> _Lines:
        return self

    def __next__(self) -> str:
        if self._given_back:
            line = self._given_back.popleft()
        else:
            line = self._stream.readline(MAX_RECORD_BYTES)
        if not line:
            raise StopIteration
        self.raw.append(line)
        self._size += len(line)
        if self._size >= MAX_RECORD_BYTES:
            raise RecordTooLong
        try:
            return line.decode(self._encoding)
        except UnicodeDecodeError as error:
            # Parse on: the record's extent is still right, and it is set aside as a whole.
            self.broken = self.broken or error
            return line.decode(self._encoding, "replace")


class DelimitedReader:
    """Reads CSV or TSV in windows; `header` is the first record's bytes as they came."""

    def __init__(
        self, name: str, stream: BinaryIO, format: Format, delimiter: str, encoding: str
    ) -> None:
        csv.field_size_limit(MAX_RECORD_BYTES)
        self.name = name
        self.rows: int | None = None
        self.format = format
        self.delimiter = delimiter
        self.encoding = encoding
        self._stream = stream
        self._lines = _Lines(stream, encoding)
        self._parser = csv.reader(self._lines, delimiter=delimiter, strict=True)
        self.header, self._names = self._read_header()
        self.schema = pa.schema([(column, pa.string()) for column in self._names])

    def _read_header(self) -> tuple[bytes, list[str]]:
        try:
            fields = next((fields for fields in self._parser if fields), [])
        except (csv.Error, RecordTooLong):
            fields = ["\0"]
        raw = b"".join(self._lines.raw)
        if self._lines.broken or any("\0" in field for field in fields):
            hint = " (UTF-16? say --encoding utf-16)" if raw.startswith(UTF16_BOMS) else ""
            raise InputError(
                f"{self.name}: not a {self.format.label} file in {self.encoding}: "
                f"its first line cannot be read as column names{hint}"
            )
        if len(fields) > MAX_COLUMNS:
            raise InputError(f"{self.name}: has more than {MAX_COLUMNS:,} columns")
        if raw.startswith(BOM) and fields:
            fields = self._reparse(raw.removeprefix(BOM))
        return raw, fields

    def _reparse(self, raw: bytes) -> list[str]:
        lines = raw.decode(self.encoding).splitlines(keepends=True)
        return next(csv.reader(lines, delimiter=self.delimiter))

    def windows(
        self,
        text: str,
        others: Sequence[str] = (),
        size: WindowSize = USUAL_SIZE,
        reserved: frozenset[str] = frozenset(),
    ) -> Iterator[Window]:
        """The rows in windows. `reserved` names are the caller's to look for in `schema`."""
        columns = [text, *others]
        places = [self._names.index(column) for column in columns]
        return cut_windows(self._records(places), columns, size)

    def same_format(self, output: Output) -> DelimitedWriter:
        return DelimitedWriter(output.stream, self, output.added)

    def close(self) -> None:
        self._stream.close()

    def _records(self, places: Sequence[int]) -> Iterator[Record | Reject]:
        lines, width, row = self._lines, len(self._names), 0
        while True:
            lines.begin()
            try:
                fields = next(self._parser)
            except StopIteration:
                self.rows = row
                return
            except csv.Error as error:
                # An unclosed quote swallows the lines after it: read those again.
                lines.keep_first()
                fields, reason = [], f"broken quoting: {error}"
            except RecordTooLong:
                lines.keep_first()
                fields, reason = [], f"record longer than {MAX_RECORD_BYTES >> 20} MiB"
            else:
                if not fields:
                    continue  # a blank line is no row
                reason = self._fault(fields, width)
            row += 1
            raw = lines.raw[0] if len(lines.raw) == 1 else b"".join(lines.raw)
            if reason:
                yield Reject(row, reason, raw, line=lines.consumed + 1)
            else:
                yield Record(raw, [fields[place] for place in places])

    def _fault(self, fields: list[str], width: int) -> str:
        broken = self._lines.broken
        if broken:
            return (
                f"invalid {self.encoding}: {broken.reason} at byte {broken.start + 1} of the line"
            )
        if len(fields) != width:
            return f"expected {width} fields, found {len(fields)}"
        return ""


class DelimitedWriter:
    """Appends cells at the right of each record's own bytes, in its delimiter and encoding."""

    columns: Sequence[str] = ()

    def __init__(self, stream: BinaryIO, reader: DelimitedReader, added: pa.Schema) -> None:
        self._stream = stream
        self.delimiter = reader.delimiter
        self.encoding = reader.encoding
        if reader.header:
            names = [quote(name, self.delimiter) for name in added.names]
            stream.write(self._append(reader.header, names))

    def encode(self, window: Window, added: pa.RecordBatch) -> bytes:
        """The window's lines with the new cells; called from any thread."""
        assert window.raw is not None
        columns = [self._cells(column) for column in added.columns]
        rows = zip(window.raw, zip(*columns, strict=True), strict=True)
        return b"".join([self._append(raw, cells) for raw, cells in rows])

    def write(self, encoded: bytes) -> None:
        self._stream.write(encoded)

    def close(self) -> None:
        """Nothing is held back: every write went to the stream."""

    abandon = close

    def _append(self, raw: bytes, cells: Sequence[str]) -> bytes:
        body = raw.rstrip(b"\r\n")
        tail = self.delimiter + self.delimiter.join(cells)
        return body + tail.encode(self.encoding) + raw[len(body) :]

    def _cells(self, column: pa.Array) -> list[str]:
        cells = column.cast(pa.string()).to_pylist()
        if pa.types.is_string(column.type):
            return ["" if cell is None else quote(cell, self.delimiter) for cell in cells]
        return ["" if cell is None else cell for cell in cells]


def quote(cell: str, delimiter: str) -> str:
    """A cell in quotes if it needs them."""
    if any(mark in cell for mark in (delimiter, '"', "\r", "\n")):
        return '"' + cell.replace('"', '""') + '"'
    return cell
