"""Rows written in another format than they came in: by value, as their bytes cannot be kept."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import repeat
from typing import Any, BinaryIO, TypeVar

import pyarrow as pa

from scorer.errors import ColumnError
from scorer.tables.formats.base import Output, Reader
from scorer.tables.parquet.writer import ParquetWriter
from scorer.tables.text.dialect import Dialect
from scorer.tables.text.json_writer import json_texts
from scorer.tables.values import (
    Unwritable,
    appended_cells,
    check_csv,
    check_json,
    csv_cells,
    json_objects,
)
from scorer.tables.window import Window

Result = TypeVar("Result")


class ToParquet(ParquetWriter):
    """CSV and TSV as Parquet: every column a string, for nothing says what else it is."""

    def __init__(
        self, stream: BinaryIO, schema: pa.Schema, added: pa.Schema, metadata: Mapping[str, str]
    ) -> None:
        super().__init__(stream, schema, added, metadata)
        self.columns: Sequence[str] = schema.names

    def encode(self, window: Window, added: pa.RecordBatch) -> pa.RecordBatch:
        """The window's columns in the file's order, and the new ones; from any thread."""
        return super().encode(_in_order(window, self.columns), added)


class _Columns:
    """Turns columns into what a text format writes; says which one it has no place for."""

    def __init__(self, name: str, schema: pa.Schema, remedy: str) -> None:
        self.names: Sequence[str] = schema.names
        self._name = name
        self._remedy = remedy

    def each(self, things: Iterable[Any], function: Callable[[Any], Result]) -> list[Result]:
        """The function of something of each column. Raises ColumnError in place of Unwritable."""
        results = []
        for name, thing in zip(self.names, things, strict=True):
            try:
                results.append(function(thing))
            except Unwritable as error:
                raise ColumnError(
                    f"{self._name}: column {name!r} holds {error}, which {self._remedy}"
                ) from error
        return results


class ToCsv:
    """Parquet, or CSV with another delimiter: null is an empty cell, a number its shortest form."""

    encoding = "utf-8"
    notes: Sequence[str] = ()

    def __init__(
        self, reader: Reader, output: Output, delimiter: str, *, header: bool = True
    ) -> None:
        remedy = "CSV cannot store: write JSON Lines or Parquet, or leave the column out"
        self._columns = _Columns(reader.name, reader.schema, remedy)
        self._columns.each(reader.schema.types, check_csv)
        self.columns: Sequence[str] = reader.schema.names
        self._stream = output.stream
        self.dialect = Dialect(delimiter)
        if header:
            output.stream.write(self._line([*self.columns, *output.added.names]).encode())

    def encode(self, window: Window, added: pa.RecordBatch) -> bytes:
        """The window's rows as lines; called from any thread. Raises ColumnError."""
        table = _in_order(window, self.columns).table
        cells = [
            *self._columns.each(table, csv_cells),
            *(appended_cells(column).to_pylist() for column in added),
        ]
        return "".join([self._line(row) for row in zip(*cells, strict=True)]).encode()

    def _line(self, cells: Iterable[str | None]) -> str:
        return self.dialect.record(cell or "" for cell in cells) + "\n"

    def write(self, encoded: bytes) -> None:
        self._stream.write(encoded)

    def close(self) -> None:
        """Nothing is held back: every write went to the stream."""

    abandon = close


class ToJsonLines:
    """Tables with columns as JSON Lines; how a value is written is told in values.py."""

    notes: Sequence[str] = ()

    def __init__(self, name: str, stream: BinaryIO, schema: pa.Schema) -> None:
        self._columns = _Columns(name, schema, "JSON cannot store: write Parquet")
        self._columns.each(schema.types, check_json)
        self._stream = stream
        self.columns: Sequence[str] = schema.names

    def encode(self, window: Window, added: pa.RecordBatch) -> bytes:
        """The window's rows as objects; called from any thread. Raises ColumnError."""
        table = _in_order(window, self.columns).table
        values = self._columns.each(table, json_objects)
        texts = [json_texts(column).to_pylist() for column in added.columns]
        keys = [json.dumps(name, ensure_ascii=False) for name in added.schema.names]
        lines = []
        rows = zip(*values, strict=True) if values else repeat((), window.rows)
        for i, row in enumerate(rows):
            pairs = dict(zip(self.columns, row, strict=True))
            line = json.dumps(pairs, ensure_ascii=False, default=str, separators=(",", ":"))
            new = ",".join(f"{key}:{text[i]}" for key, text in zip(keys, texts, strict=True))
            lines.append(f"{line[:-1]}{',' if pairs else ''}{new}}}\n")
        return "".join(lines).encode("utf-8", "surrogatepass")

    def write(self, encoded: bytes) -> None:
        self._stream.write(encoded)

    def close(self) -> None:
        """Nothing is held back: every write went to the stream."""

    abandon = close


def _in_order(window: Window, columns: Sequence[str]) -> Window:
    return Window(window.index, window.texts, window.table.select(list(columns)))
