"""Parquet: read in slices of a row group, written with the input's schema and metadata kept."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from scorer.errors import InputError
from scorer.tables.window import WINDOW_ROWS, Window

# Read column chunks in pieces of this size instead of whole: a row group may be the whole file.
READ_BUFFER_BYTES = 1 << 20
# A row group of the output ends at whichever comes first.
GROUP_BYTES = 32 << 20
GROUP_ROWS = 1 << 17


def as_text(column: pa.Array) -> pa.Array:
    """A string or large_string array of a text column: dictionaries decoded, broken UTF-8 null."""
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if not (pa.types.is_string(column.type) or pa.types.is_large_string(column.type)):
        column = column.cast(pa.large_string())
    try:
        column.validate(full=True)
    except pa.ArrowInvalid:
        values = column.cast(pa.large_binary()).to_pylist()
        return pa.array([_text_or_none(value) for value in values], pa.large_string())
    return column


def _text_or_none(value: bytes | None) -> str | None:
    try:
        return None if value is None else value.decode()
    except UnicodeDecodeError:
        return None


class ParquetReader:
    """Reads one Parquet file in windows; `schema` is the Arrow schema with its metadata."""

    encoding = "utf-8"

    def __init__(self, name: str, stream: BinaryIO | str) -> None:
        self.name = name
        self._stream = stream
        with self._explained():
            self._file = pq.ParquetFile(stream, pre_buffer=False, buffer_size=READ_BUFFER_BYTES)
            self.schema: pa.Schema = self._file.schema_arrow
            self.rows: int | None = self._file.metadata.num_rows

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except (pa.ArrowException, OSError, ValueError) as error:  # ValueError: a name's bytes
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise InputError(f"{self.name}: cannot be read as Parquet: {reason}") from error

    def windows(
        self, text: str, others: Sequence[str] = (), rows: int = WINDOW_ROWS
    ) -> Iterator[Window]:
        """All columns, `rows` rows at a time (fewer at the end of some row groups)."""
        place = self.schema.get_field_index(text)
        batches = self._file.iter_batches(batch_size=rows, use_threads=False)
        index = 0
        while True:
            with self._explained():
                batch = next(batches, None)
            if batch is None:
                return
            yield Window(index, as_text(batch.column(place)), batch)
            index += 1

    def close(self) -> None:
        self._file.close(force=True)
        if not isinstance(self._stream, str):
            self._stream.close()

    def codecs(self) -> dict[str, str]:
        """The compression codec of every column of the file, by its path."""
        if not self._file.metadata.num_row_groups:
            return {}
        # A damaged column's metadata aborts the process below; reading the column raises instead.
        with self._explained():
            next(self._file.iter_batches(batch_size=1, row_groups=[0], use_threads=False), None)
            group = self._file.metadata.row_group(0)
            known = min(group.num_columns, self._file.metadata.num_columns)
            columns = (group.column(i) for i in range(known))
            return {column.path_in_schema: column.compression for column in columns}


class ParquetWriter:
    """Writes the windows' own columns with the new ones at their right."""

    columns: Sequence[str] = ()

    def __init__(
        self,
        stream: BinaryIO,
        schema: pa.Schema,
        added: pa.Schema,
        metadata: Mapping[str, str],
        codecs: Mapping[str, str] | None = None,
    ) -> None:
        kept = dict(schema.metadata or {})
        ours = {key.encode(): value.encode() for key, value in metadata.items()}
        self._schema = pa.schema([*schema, *added], metadata=kept | ours)
        self._writer = pq.ParquetWriter(stream, self._schema, compression=_codecs(codecs, added))
        self._held: list[pa.RecordBatch] = []
        self._rows = self._bytes = 0

    def encode(self, window: Window, added: pa.RecordBatch) -> pa.RecordBatch:
        """The window's columns and the new ones as one batch; called from any thread."""
        columns = [*window.table.columns, *added.columns]
        return pa.RecordBatch.from_arrays(columns, schema=self._schema)

    def write(self, encoded: pa.RecordBatch) -> None:
        self._held.append(encoded)
        self._rows += encoded.num_rows
        self._bytes += encoded.nbytes
        if self._rows >= GROUP_ROWS or self._bytes >= GROUP_BYTES:
            self._flush()

    def _flush(self) -> None:
        table = pa.Table.from_batches(self._held, self._schema)
        self._held, self._rows, self._bytes = [], 0, 0
        self._writer.write_table(table, row_group_size=GROUP_ROWS)

    def close(self) -> None:
        if self._held:
            self._flush()
        self._writer.close()

    def abandon(self) -> None:
        # pyarrow's writer would write its footer when it is collected, to a stream that is gone.
        self._writer.is_open = False


def _codecs(codecs: Mapping[str, str] | None, added: pa.Schema) -> dict[str, str] | str:
    if not codecs:
        return "snappy"
    usual = max(set(codecs.values()), key=list(codecs.values()).count)
    known = {"UNCOMPRESSED": "none", "LZ4_RAW": "lz4"}
    named = {**codecs, **dict.fromkeys(added.names, usual)}
    return {path: known.get(codec, codec.lower()) for path, codec in named.items()}
