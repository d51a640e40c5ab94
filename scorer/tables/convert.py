"""Rows written in another format than they came in: by value, as there are no bytes to keep."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, BinaryIO

import pyarrow as pa

from scorer.errors import ColumnError
from scorer.tables.dialect import Dialect
from scorer.tables.formats.base import Output, Reader
from scorer.tables.jsonl import json_values
from scorer.tables.parquet import ParquetWriter
from scorer.tables.window import Window


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


class ToCsv:
    """Parquet, or CSV with another delimiter: null is an empty cell, a number its shortest form."""

    encoding = "utf-8"

    def __init__(
        self, reader: Reader, output: Output, delimiter: str, *, header: bool = True
    ) -> None:
        for field in reader.schema:
            if pa.types.is_nested(field.type) or pa.types.is_binary(field.type):
                raise ColumnError(
                    f"{reader.name}: column {field.name!r} holds {field.type}, which CSV has no "
                    "place for: write JSON Lines or Parquet"
                )
        self.columns: Sequence[str] = reader.schema.names
        self._stream = output.stream
        self.dialect = Dialect(delimiter)
        if header:
            output.stream.write(self._line([*self.columns, *output.added.names]).encode())

    def encode(self, window: Window, added: pa.RecordBatch) -> bytes:
        """The window's rows as lines; called from any thread."""
        table = _in_order(window, self.columns).table
        cells = (column.cast(pa.string()).to_pylist() for column in [*table, *added])
        return "".join([self._line(row) for row in zip(*cells, strict=True)]).encode()

    def _line(self, cells: Iterable[str | None]) -> str:
        return self.dialect.record(cell or "" for cell in cells) + "\n"

    def write(self, encoded: bytes) -> None:
        self._stream.write(encoded)

    def close(self) -> None:
        """Nothing is held back: every write went to the stream."""

    abandon = close


class ToJsonLines:
    """CSV, TSV and Parquet as JSON Lines; what JSON has no type for is written as a string."""

    def __init__(self, stream: BinaryIO, columns: Sequence[str]) -> None:
        self._stream = stream
        self.columns = columns

    def encode(self, window: Window, added: pa.RecordBatch) -> bytes:
        """The window's rows as objects; called from any thread."""
        rows = _in_order(window, self.columns).table.to_pylist()
        texts = [json_values(column) for column in added.columns]
        keys = [json.dumps(name, ensure_ascii=False) for name in added.schema.names]
        lines = []
        for i, row in enumerate(rows):
            line = json.dumps(row, ensure_ascii=False, default=_as_text, separators=(",", ":"))
            pairs = ",".join(f"{key}:{values[i]}" for key, values in zip(keys, texts, strict=True))
            lines.append(f"{line[:-1]},{pairs}}}\n")
        return "".join(lines).encode("utf-8", "surrogatepass")

    def write(self, encoded: bytes) -> None:
        self._stream.write(encoded)

    def close(self) -> None:
        """Nothing is held back: every write went to the stream."""

    abandon = close


def _as_text(value: Any) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def _in_order(window: Window, columns: Sequence[str]) -> Window:
    return Window(window.index, window.texts, window.table.select(list(columns)))
