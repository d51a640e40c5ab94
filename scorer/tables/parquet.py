"""Parquet: read in slices of a row group, written with the input's schema and metadata kept."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from scorer.errors import InputError
from scorer.tables.formats.base import Format, Output
from scorer.tables.pages import BATCH_BYTES, OPEN_BYTES, FileBytes, demand
from scorer.tables.window import (
    RECORD_BYTES,
    USUAL_SIZE,
    WINDOW_BYTES,
    Window,
    WindowSize,
    halved,
)

# Read column chunks in pieces of this size instead of whole: a row group may be the whole file.
READ_BUFFER_BYTES = 1 << 20
MIN_READ_BUFFER_BYTES = 1 << 12
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


class _NoPages(io.RawIOBase):
    """Stands for a file of `size` bytes whose footer is known, and has nothing else to read.

    `reached` tells whether anything else was asked for.
    """

    def __init__(self, size: int) -> None:
        self.reached = False
        self._size = size

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = 0) -> int:
        return self._size if whence == 2 else offset

    def tell(self) -> int:
        return self._size

    def read(self, size: int = -1) -> bytes:
        self.reached = True
        return b""


class ParquetReader:
    """Reads one Parquet file in windows; `schema` is the Arrow schema with its metadata."""

    encoding = "utf-8"

    def __init__(self, name: str, stream: BinaryIO | str, format: Format) -> None:
        self.name = name
        self.format = format
        with ExitStack() as opened, self._explained():
            file = Path(stream).open("rb") if isinstance(stream, str) else stream  # noqa: SIM115
            opened.callback(file.close)
            metadata = pq.read_metadata(file)
            self._bytes = FileBytes(file)
            share = OPEN_BYTES // 4 // max(metadata.num_columns, 1)
            self._buffer = max(min(READ_BUFFER_BYTES, share), MIN_READ_BUFFER_BYTES)
            self._file = pq.ParquetFile(
                stream, metadata=metadata, pre_buffer=False, buffer_size=self._buffer
            )
            self.schema: pa.Schema = self._file.schema_arrow
            self.rows: int | None = metadata.num_rows
            self._no_pages = _NoPages(self._bytes.size)
            self._footer = pq.ParquetFile(
                pa.PythonFile(self._no_pages, "r"),
                metadata=metadata,
                pre_buffer=False,
                buffer_size=MIN_READ_BUFFER_BYTES,  # else a column is read when it is opened
            )
            self._opened = opened.pop_all()

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except (pa.ArrowException, OSError, ValueError) as error:  # ValueError: a name's bytes
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise InputError(f"{self.name}: cannot be read as Parquet: {reason}") from error

    def windows(
        self,
        text: str,
        others: Sequence[str] = (),
        size: WindowSize = USUAL_SIZE,
        reserved: frozenset[str] = frozenset(),
    ) -> Iterator[Window]:
        """All columns, a window at a time; `reserved` names are the caller's to look for.

        The cuts depend on the file alone, so that a resumed run meets the same windows again.
        """
        place = self.schema.get_field_index(text)
        for index, batch in enumerate(self._gathered(size)):
            with self._explained():
                texts = as_text(batch.column(place))
            yield Window(index, texts, batch)

    def _gathered(self, size: WindowSize) -> Iterator[pa.RecordBatch]:
        """What `_pieces` gives, put together to windows."""
        held: list[pa.RecordBatch] = []
        rows = taken = 0
        for piece, piece_bytes in self._pieces(size.rows):
            over = rows + piece.num_rows > size.most or taken + piece_bytes > WINDOW_BYTES
            if held and over:
                yield self._joined(held)
                held, rows, taken = [], 0, 0
            held.append(piece)
            rows, taken = rows + piece.num_rows, taken + piece_bytes
            if size.enough(rows, taken):
                yield self._joined(held)
                held, rows, taken = [], 0, 0
        if held:
            yield self._joined(held)

    def _joined(self, pieces: list[pa.RecordBatch]) -> pa.RecordBatch:
        with self._explained():
            return pieces[0] if len(pieces) == 1 else pa.concat_batches(pieces)

    def _pieces(self, rows: int) -> Iterator[tuple[pa.RecordBatch, int]]:
        """The file in runs of rows of at most WINDOW_BYTES, or of one row, and their bytes."""
        first = 1
        for group in range(self._file.metadata.num_row_groups):
            with self._explained():
                at_once = self._affordable(rows, group)
            batches = self._file.iter_batches(at_once, row_groups=[group], use_threads=False)
            while True:
                with self._explained():
                    batch = next(batches, None)
                if batch is None:
                    break
                for piece, size in halved(batch, WINDOW_BYTES):
                    if size > RECORD_BYTES:
                        raise InputError(
                            f"{self.name}: row {first} takes {size >> 20:,} MiB: a row may take "
                            f"{RECORD_BYTES >> 20}"
                        )
                    yield piece, size
                    first += piece.num_rows

    def _affordable(self, rows: int, group: int) -> int:
        """As many of `rows` as may be unpacked at once. Raises InputError if none may."""
        schema = self._file.schema
        demands = [
            demand(self._bytes, chunk, schema.column(i), self._buffer)
            for i, chunk in enumerate(self._chunks(group))
        ]
        at_least = sum(
            column.open + (column.total if column.is_dense else column.longest)
            for column in demands
        )
        if at_least > OPEN_BYTES:
            raise InputError(
                f"{self.name}: row group {group + 1} unpacks to {at_least >> 20:,} MiB at once, "
                f"more than {OPEN_BYTES >> 20}: write it with smaller pages or row groups"
            )
        while rows > 1 and sum(column.rows(rows) for column in demands) > BATCH_BYTES:
            rows //= 2
        return rows

    def _chunks(self, group: int) -> list[Any]:
        """The metadata of a row group's columns.

        pyarrow's own objects end the process where it is damaged. Arrow looks at all of it before
        it reads a page, and raises.
        """
        metadata, self._no_pages.reached = self._file.metadata, False
        try:
            next(self._footer.iter_batches(1, row_groups=[group], use_threads=False), None)
        except (pa.ArrowException, OSError):
            if not self._no_pages.reached:
                raise
        found = metadata.row_group(group)
        return [found.column(i) for i in range(min(found.num_columns, metadata.num_columns))]

    def same_format(self, output: Output) -> ParquetWriter:
        return ParquetWriter(
            output.stream, self.schema, output.added, output.metadata, self.codecs()
        )

    def close(self) -> None:
        self._file.close(force=True)
        self._opened.close()

    def codecs(self) -> dict[str, str]:
        """The compression codec of every column of the file, by its path."""
        if not self._file.metadata.num_row_groups:
            return {}
        with self._explained():
            return {column.path_in_schema: column.compression for column in self._chunks(0)}


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
