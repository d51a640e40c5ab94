"""CSV and TSV: records parsed by the standard library's csv module, their bytes kept as they came.

The module is fed by an iterator that remembers the raw lines of the record being read. So a
record leaves with its quoting, line end and every character of its cells unchanged, and one that
cannot be read is set aside alone.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from io import SEEK_END
from typing import BinaryIO

import pyarrow as pa
import pyarrow.compute as pc

from scorer.errors import UsageError
from scorer.tables.formats.base import Format, Input, Output
from scorer.tables.parts import (
    Looking,
    Part,
    Parts,
    PartSize,
    line_starts,
    parts_between,
    unseen,
)
from scorer.tables.text import lines as physical
from scorer.tables.text.dialect import Dialect
from scorer.tables.text.header import read_header
from scorer.tables.text.lines import MustEndHere, RecordLines, RecordTooLong
from scorer.tables.text.options import ReadOptions
from scorer.tables.text.plain import PlainRecords, PlainRuns
from scorer.tables.values import appended_cells, each_text, is_list_of_texts
from scorer.tables.window import (
    LOOP_BYTES,
    USUAL_SIZE,
    Record,
    Records,
    Reject,
    Window,
    WindowSize,
    cut_windows,
)


@dataclass(frozen=True)
class Head:
    """How an output begins, and how its cells are told apart.

    follows   whether the new cells come after others
    """

    dialect: Dialect
    encoding: str
    preamble: bytes
    header: bytes
    follows: bool = True


class DelimitedReader:
    """Reads CSV or TSV in windows.

    `preamble` is what stands before the column names (a byte order mark, blank lines, Excel's
    `sep=`), `header` the record with them; both as they came, `header` empty where there is none.
    """

    def __init__(self, data: Input, format: Format, delimiter: str, options: ReadOptions) -> None:
        """`delimiter` is the format's usual one. Raises InputError, ColumnError."""
        csv.field_size_limit(physical.MAX_RECORD_BYTES)
        self.name = name = data.source.name
        self.format = format
        self.encoding = options.encoding
        self._data = data
        self._stream = data.stream
        self._lines = RecordLines(data.stream, options.encoding)
        dialect = options.dialect(delimiter)
        head = read_header(name, format.label, self._lines, dialect, options)
        self.dialect, self.preamble, self.header = head.dialect, head.preamble, head.raw
        self.has_header = options.header
        self._names = head.names
        self._parser = self.dialect.parser(self._lines)
        self._head_lines = self._lines.consumed + len(self._lines.raw)
        self._uncounted = 0  # of the lines consumed, those that the part does not have
        self._broken = ""  # what was wrong with the last record whose quotes are broken
        self.rows: int | None = None if head.names else 0
        self.schema = pa.schema([(column, pa.string()) for column in self._names])

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
        return DelimitedWriter(output.stream, self.head_of(None), output.added)

    def head_of(self, places: Sequence[int] | None) -> Head:
        """What stands above the rows of an output with the columns at `places`; None: all."""
        header = self.header
        if places is not None and header:
            header = self.picked(header, places)
        return Head(
            self.dialect, self.encoding, self.preamble, header, bool(places is None or places)
        )

    def picked(self, raw: bytes, places: Sequence[int]) -> bytes:
        """A record's bytes with the fields at `places` alone, in its dialect and with its end."""
        record = raw.decode(self.encoding)
        body = self.dialect.body(record)
        fields = next(self.dialect.parser(iter([record]), strict=False), [])
        cells = [self.dialect.cell(fields[place]) for place in places if place < len(fields)]
        kept = self.dialect.delimiter.join(cells) + record[len(body) :]
        return kept.encode(self.encoding)

    @property
    def lines(self) -> int | None:
        """The lines of the records that have been read, and of what stands before them."""
        return self._lines.consumed - self._uncounted

    def parts(self, size: PartSize, looking: Looking = unseen) -> Parts:
        """Runs of whole records. Where a quoted field may hold a line end, all is looked through.

        That takes the csv module for what `PlainRuns` does not pass over, as reading it does.
        """
        reason = self._data.uncut or self._unsplit()
        if reason or not self._names:
            return Parts((), reason)
        begin = self._begin
        with closing(self._data.source.at_any_place()) as file:
            end = file.seek(0, SEEK_END)
            if self.dialect.quoting == "none":
                return parts_between([begin, *line_starts(file, begin, end, size.bytes), end])
        return parts_between([begin, *self._record_starts(size.bytes, looking), end])

    def _unsplit(self) -> str:
        """Why it cannot be known cheaply where records end; empty if it can."""
        if self._lines.at_any_end:
            return "its lines end with CR alone: write LF"
        if self.dialect.escape is not None:
            return "an escaped line end does not end a record: write it without --escape"
        if self.encoding != "utf-8" and self.dialect.quoting != "none":
            return f"it is in {self.encoding}: convert it to UTF-8"
        is_ascii = self.dialect.delimiter.isascii()
        return "" if is_ascii else "its delimiter is not ASCII: write it with a comma"

    @property
    def _begin(self) -> int:
        """Where the rows begin."""
        return len(self.preamble) + len(self.header)

    def _record_starts(self, every: int, looking: Looking) -> Iterator[int]:
        """Where records begin, `every` bytes or more from one to the next.

        The reader is not inside what it has given back there, so it reads on as from a file's
        begin.
        """
        lines, at = self._lines, self._begin
        runs, due = PlainRuns(lines.blocks(), self.dialect.delimiter), at + every
        while True:
            lines.begin()
            for size in runs if lines.at_a_record else ():
                at += size
                if at >= due:
                    looking(at + every - due)
                    yield at
                    due = at + every
            if self._parsed() is None:
                return
            if len(lines.raw[0]) >= physical.MAX_RECORD_BYTES:
                return  # nor is it known how long it is
            size = sum(map(len, lines.raw))
            at += size
            runs.read(size)

    def only(self, part: Part) -> None:
        """Read no other records; the columns and the dialect stay those of the whole."""
        self._stream.close()
        self._stream = self._data.source.section(part.first, part.end)
        self._lines = RecordLines(self._stream, self.encoding)
        before = self._head_lines if part.first == self._begin else 0
        self._lines.consumed = max(before, min(part.first, 1))  # the whole has a byte order mark
        self._uncounted = self._lines.consumed - before
        self._parser = self.dialect.parser(self._lines)

    def close(self) -> None:
        self._stream.close()

    def _records(self, places: Sequence[int]) -> Iterator[Record | Records | Reject]:
        lines, plain, row = self._lines, self._plain(places), 0
        while True:
            lines.begin()
            if plain and lines.at_a_record:
                for records, line_ends in plain:
                    lines.consumed += line_ends
                    row += len(records.raw)
                    yield records
            parsed = self._parsed()
            if parsed is None:
                self.rows = row
                return
            fields, reason = parsed
            if not fields and not reason:
                continue  # a blank line is not a row
            row += 1
            raw = lines.raw[0] if len(lines.raw) == 1 else b"".join(lines.raw)
            if plain:
                plain.read(len(raw))
            if reason:
                yield Reject(row, reason, raw, line=lines.consumed + 1 - self._uncounted)
            else:
                yield Record(raw, [fields[place] for place in places])

    def _parsed(self) -> tuple[list[str], str] | None:
        """The fields of the next record, and why it cannot be taken, empty if it can; None at the
        file's end."""
        lines = self._lines
        try:
            fields = next(self._parser)
        except StopIteration:
            return None
        except MustEndHere:
            lines.keep_first()
            return [], self._broken
        except csv.Error as error:
            # An unclosed quote swallows the lines after it: read those again.
            self._broken = _broken(error, lines.raw[0], self.dialect)
            lines.keep_first()
            return [], self._broken
        except RecordTooLong:
            lines.keep_first()
            self._broken = f"record longer than {physical.MAX_RECORD_BYTES >> 20} MiB"
            return [], self._broken
        return fields, self._fault(fields) if fields else ""

    def _plain(self, places: Sequence[int]) -> PlainRecords | None:
        """What takes most records; None where a pattern cannot tell them apart."""
        dialect = self.dialect
        if self.encoding != "utf-8" or dialect.quoting != "double" or dialect.escape is not None:
            return None
        if not self._names or self._lines.at_any_end or not dialect.delimiter.isascii():
            return None
        return PlainRecords(self._lines.blocks(), dialect.delimiter, len(self._names), places)

    def _fault(self, fields: list[str]) -> str:
        """Why a record that was told apart cannot be taken; empty if it can."""
        broken, width = self._lines.broken, len(self._names)
        if broken:
            return (
                f"invalid {self.encoding}: {broken.reason} at byte {broken.start + 1} of the line"
            )
        if len(fields) == width + 1 and not fields[-1]:
            return (
                f"expected {width} fields, found {len(fields)}: the row ends with a delimiter: "
                "remove it, or name one more column"
            )
        if len(fields) != width:
            return f"expected {width} fields, found {len(fields)}"
        return ""


def _broken(error: csv.Error, line: bytes, dialect: Dialect) -> str:
    """What the csv module found broken, in words for who has the file before them."""
    if "new-line character" in str(error):
        return "a carriage return (CR) outside quotes: quote the field or remove it"
    if dialect.quoting == "none":
        return f"broken escape: {error}"
    hint = ""
    if dialect.escape is None and rb"\"" in line:
        hint = r"; if a backslash escapes quotes in this file, use --escape '\'"
    elif dialect.delimiter == "\t":
        hint = "; if quotes are text in this file, use --quoting none"
    return f"broken quoting: {error}{hint}"


class DelimitedWriter:
    """Appends cells at the right of each record's own bytes, in its dialect and encoding."""

    columns: Sequence[str] = ()
    notes: Sequence[str] = ()

    def __init__(self, stream: BinaryIO, head: Head, added: pa.Schema) -> None:
        self._stream = stream
        self.dialect = head.dialect
        self.encoding = head.encoding
        self._before = self.dialect.delimiter if head.follows else ""
        stream.write(head.preamble)
        if head.header:
            names = map(self.dialect.cell, added.names)
            stream.write(
                self._append(head.header, self._before + self.dialect.delimiter.join(names))
            )

    def encode(self, window: Window, added: pa.RecordBatch) -> bytes | memoryview:
        """The window's lines with the new cells; called from any thread.

        Raises UsageError where the file's encoding or dialect has no way to write a cell.
        """
        assert window.raw is not None
        columns = [self._cells(column) for column in added.columns]
        first = [pa.scalar("")] if self._before else []
        cells = pc.binary_join_element_wise(*first, *columns, self.dialect.delimiter)
        is_plain = self.encoding == "utf-8" and self.dialect.escape is None
        if is_plain and window.raw.nbytes >= LOOP_BYTES:
            from scorer.tables.text.splicing import before_line_end  # which imports Numba

            return before_line_end(window.raw, cells)
        rows = zip(window.raw.to_pylist(), cells.to_pylist(), strict=True)
        return b"".join([self._append(raw, text) for raw, text in rows])

    def write(self, encoded: bytes | memoryview) -> None:
        self._stream.write(encoded)

    def close(self) -> None:
        """Nothing is held back: every write went to the stream."""

    abandon = close

    def _append(self, raw: bytes, cells: str) -> bytes:
        body = self._body(raw)
        try:
            return b"".join((body, cells.encode(self.encoding), raw[len(body) :]))
        except UnicodeEncodeError as error:
            raise UsageError(
                f"{cells.removeprefix(self._before)!r} cannot be written in {self.encoding}, the "
                "input's encoding: convert the input to UTF-8 first"
            ) from error

    def _body(self, raw: bytes) -> bytes:
        """The record without its line end."""
        if self.dialect.escape is None:
            return raw.rstrip(b"\r\n")
        record = raw.decode(self.encoding)
        end = len(record) - len(self.dialect.body(record))
        return raw[: len(raw) - end]

    def _cells(self, column: pa.Array) -> pa.Array:
        cells = appended_cells(column)
        is_text = pa.types.is_string(column.type) or is_list_of_texts(column.type)
        if is_text or not self.dialect.holds_numbers:
            cells = each_text(cells, self.dialect.cell)
        return cells.fill_null("")
