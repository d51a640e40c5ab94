"""An example of a new format: Labelled Tab-Separated Values, as web servers write them.

`host:127.0.0.1<tab>text:good`, one record a line. All that the package needs to read it, write it
and convert to and from it is this module and an entry in `scorer.tables.formats.FORMATS`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import BinaryIO

import pyarrow as pa

from scorer.tables.formats.base import Format, Input, Output, Reader, Writer
from scorer.tables.text.options import ReadOptions
from scorer.tables.window import (
    USUAL_SIZE,
    Record,
    Reject,
    Window,
    WindowSize,
    cut_windows,
)


class LtsvReader:
    def __init__(self, name: str, stream: BinaryIO, format: Format, encoding: str) -> None:
        self.name, self.format, self.encoding = name, format, encoding
        self.rows: int | None = None
        self._stream = stream
        self._first = stream.readline()
        self.schema = pa.schema([(key, pa.string()) for key in self._cells(self._first)])

    def _cells(self, line: bytes) -> dict[str, str]:
        cells = line.decode(self.encoding).rstrip("\r\n").split("\t")
        return {key: value for key, _, value in (cell.partition(":") for cell in cells) if key}

    def windows(
        self,
        text: str,
        others: Sequence[str] = (),
        size: WindowSize = USUAL_SIZE,
        reserved: frozenset[str] = frozenset(),
    ) -> Iterator[Window]:
        columns = [text, *others]
        return cut_windows(self._records(columns), columns, size)

    def _records(self, columns: Sequence[str]) -> Iterator[Record | Reject]:
        row, line = 0, self._first
        while line:
            row += 1
            cells = self._cells(line)
            if cells.keys() == set(self.schema.names):
                yield Record(line, [cells[column] for column in columns])
            else:
                yield Reject(row, "other labels than the first record", line, row)
            line = self._stream.readline()
        self.rows = row

    def same_format(self, output: Output) -> Writer:
        return LtsvWriter(output, ())

    def close(self) -> None:
        self._stream.close()


class LtsvWriter:
    """Appends to records as they came where `columns` is empty, else writes these columns."""

    notes: Sequence[str] = ()

    def __init__(self, output: Output, columns: Sequence[str]) -> None:
        self.columns = columns
        self._stream = output.stream

    def encode(self, window: Window, added: pa.RecordBatch) -> bytes:
        named = [*window.table.select(list(self.columns)).columns, *added.columns]
        names = [*self.columns, *added.schema.names]
        cells = zip(*(column.cast(pa.string()).to_pylist() for column in named), strict=True)
        kept = [b""] * window.rows
        if window.raw is not None and not self.columns:
            kept = window.raw.to_pylist()
        lines = []
        for raw, row in zip(kept, cells, strict=True):
            new = (f"{name}:{cell or ''}".encode() for name, cell in zip(names, row, strict=True))
            lines.append(b"\t".join([*filter(None, [raw.rstrip(b"\r\n")]), *new]) + b"\n")
        return b"".join(lines)

    def write(self, encoded: bytes) -> None:
        self._stream.write(encoded)

    def close(self) -> None:
        """Nothing is held back."""

    abandon = close


class Ltsv(Format):
    label = "LTSV"
    suffixes = (".ltsv",)
    options = ("encoding",)

    def sniff(self, head: bytes) -> bool:
        first = head.split(b"\n", 1)[0].rstrip(b"\r").split(b"\t")
        return all(cell.partition(b":")[0].isalnum() and b":" in cell for cell in first)

    def open(self, data: Input, options: ReadOptions) -> Reader:
        return LtsvReader(data.source.name, data.stream, self, options.encoding)

    def converter(self, reader: Reader, output: Output) -> Writer:
        return LtsvWriter(output, reader.schema.names)


LTSV = Ltsv()
