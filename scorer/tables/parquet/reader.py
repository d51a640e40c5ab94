"""Parquet, read in slices of a row group."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from itertools import accumulate, groupby
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from scorer.errors import DamagedInput, InputError
from scorer.tables.arrays import as_text, leaf_types
from scorer.tables.batches import first_line, gathered
from scorer.tables.formats.base import Format, Output
from scorer.tables.parquet.footer import footer_of
from scorer.tables.parquet.int96 import Unit, lossless_unit
from scorer.tables.parquet.pages import BATCH_BYTES, OPEN_BYTES, FileBytes, demand, looked_into
from scorer.tables.parquet.writer import ParquetWriter, check_columns
from scorer.tables.parts import Looking, Part, Parts, PartSize, parts_between, unseen
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
# Wider files are opened so many columns at a time.
SLICE_COLUMNS = 4096
# INT96 columns are looked through in batches of this many rows.
SCANNED_ROWS = 1 << 16
ARROW_SCHEMA = b"ARROW:schema"


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
    """Reads one Parquet file in windows; `schema` is the Arrow schema with the file's metadata."""

    encoding = "utf-8"

    def __init__(self, name: str, stream: BinaryIO | str, format: Format) -> None:
        self.name = name
        self.format = format
        self._is_local = isinstance(stream, str | io.BufferedIOBase)
        with ExitStack() as opened, self._read_errors():
            file = Path(stream).open("rb") if isinstance(stream, str) else stream  # noqa: SIM115
            opened.callback(file.close)
            metadata = pq.read_metadata(file)
            self._bytes = FileBytes(file)
            share = OPEN_BYTES // 4 // max(metadata.num_columns, 1)
            self._buffer = max(min(READ_BUFFER_BYTES, share), MIN_READ_BUFFER_BYTES)
            self._stream, self._metadata = stream, metadata
            self._file = self._reopened("ns")
            arrow = self._file.schema_arrow
            check_columns(name, arrow)
            self._slices = _slices(arrow, metadata.num_columns)
            arrow = self._with_whole_timestamps(arrow)
            self.schema: pa.Schema = arrow.with_metadata(_metadata(metadata, arrow) or None)
            self._groups = range(metadata.num_row_groups)
            # Not the footer's own sum, which some writers leave at 0.
            self.rows: int | None = sum(self.group_rows)
            if not len(arrow):
                raise DamagedInput(f"{name}: has no columns, so there is nothing to score")
            self._opened = opened.pop_all()

    @property
    def group_rows(self) -> list[int]:
        """The rows of each row group."""
        return [self._metadata.row_group(group).num_rows for group in self._groups]

    @property
    def lines(self) -> int | None:
        """None: rows are no lines."""
        return None

    def parts(self, size: PartSize, looking: Looking = unseen) -> Parts:
        """Runs of row groups; each run begins `size.rows` rows or more after the one before."""
        counts = self.group_rows
        if len(counts) == 1 and counts[0] > size.rows:
            return Parts(
                (), f"it has one row group: write it with more (row_group_size={size.rows:_})"
            )
        begins = [total - count for total, count in zip(accumulate(counts), counts, strict=True)]
        runs = groupby(range(len(counts)), lambda i: begins[i] // size.rows)
        return parts_between([*(next(groups) for _, groups in runs), len(counts)])

    def only(self, part: Part) -> None:
        """Read no others than the part's row groups."""
        self._groups = range(part.first, part.end)
        self.rows = sum(self.group_rows)

    def _reopened(self, unit: Unit) -> pq.ParquetFile:
        """The file, its INT96 timestamps counted in `unit`."""
        return pq.ParquetFile(
            self._stream,
            metadata=self._metadata,
            pre_buffer=False,
            buffer_size=self._buffer,
            coerce_int96_timestamp_unit=unit,
        )

    def _with_whole_timestamps(self, arrow: pa.Schema) -> pa.Schema:
        """The schema in which no INT96 timestamp is altered; `_file` reads it from now on."""
        schema = self._file.schema
        places = [
            i
            for i in range(self._metadata.num_columns)
            if schema.column(i).physical_type == "INT96"
        ]
        if not places:
            return arrow

        def batches(unit: Unit) -> Iterator[pa.RecordBatch]:
            file = self._reopened(unit)
            for group in range(self._metadata.num_row_groups):
                rows = self._affordable(SCANNED_ROWS, group)
                yield from file.reader.iter_batches(
                    rows, row_groups=[group], column_indices=places, use_threads=False
                )

        unit = lossless_unit(batches)
        if unit == "ns":
            return arrow
        self._file = self._reopened(unit)
        return self._file.schema_arrow

    @contextmanager
    def _read_errors(self) -> Iterator[None]:
        try:
            yield
        except (pa.ArrowException, OSError, ValueError) as error:  # ValueError: a name's bytes
            # Arrow calls damaged content an OSError too, but has no number for it.
            failed = isinstance(error, OSError) and (error.errno or not self._is_local)
            kind = InputError if failed else DamagedInput
            raise kind(f"{self.name}: cannot be read as Parquet: {first_line(error)}") from error

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
        batches = gathered(self._pieces(size.rows), size, self.schema)
        index = 0
        while True:
            with self._read_errors():
                batch = next(batches, None)
                if batch is None:
                    break
                texts = as_text(batch.column(place))
            yield Window(index, texts, batch)
            index += 1
        # Of a wide file it takes hundreds of megabytes, as will the output's when it is closed.
        del self._file, self._metadata

    def _pieces(self, rows: int) -> Iterator[tuple[pa.RecordBatch, int]]:
        """The file in runs of rows of at most WINDOW_BYTES, or of one row, and their bytes."""
        done = 0
        for group in self._groups:
            stated = self._metadata.row_group(group).num_rows
            before = done
            for batch in self._unpacked(rows, group):
                for piece, size in halved(batch, WINDOW_BYTES):
                    if size > RECORD_BYTES:
                        raise DamagedInput(
                            f"{self.name}: row {done + 1} takes {size >> 20:,} MiB: a row may take "
                            f"{RECORD_BYTES >> 20}"
                        )
                    yield piece, size
                    done += piece.num_rows
            if done - before != stated:
                raise DamagedInput(
                    f"{self.name}: row group {group + 1} holds {done - before:,} rows, but the "
                    f"file's footer counts {stated:,}: write the file anew"
                )

    def _unpacked(self, rows: int, group: int) -> Iterator[pa.RecordBatch]:
        """A row group's rows, at most `rows` at a time, and less where they take much."""
        with self._read_errors():
            batches = self._batches(self._affordable(rows, group), group)
        while True:
            with self._read_errors():
                batch = next(batches, None)
            if batch is None:
                return
            yield batch

    def _batches(self, rows: int, group: int) -> Iterator[pa.RecordBatch]:
        """A row group's rows, at most `rows` at a time."""
        alike = {"row_groups": [group], "use_threads": False}
        if self._metadata.row_group(group).num_rows > rows or len(self._slices) == 1:
            yield from self._file.iter_batches(rows, **alike)
            return
        # An open column takes kilobytes, however few its rows.
        columns: list[pa.Array] = []
        for leaves in self._slices:
            read = self._file.reader.iter_batches(rows, column_indices=leaves, **alike)
            columns += pa.Table.from_batches(list(read)).combine_chunks().columns
        whole = pa.Table.from_arrays(columns, schema=self.schema)
        yield from whole.to_batches()

    def _affordable(self, rows: int, group: int) -> int:
        """As many of `rows` as may be unpacked at once. Raises InputError if none may."""
        schema = self._file.schema
        demands = [
            demand(self._bytes, chunk, schema.column(i), self._buffer)
            for i, chunk in enumerate(self._chunks(group))
        ]
        if sum(column.least for column in demands) > OPEN_BYTES:
            demands = [
                looked_into(self._bytes, chunk, schema.column(i), column)
                for i, (chunk, column) in enumerate(zip(self._chunks(group), demands, strict=True))
            ]
        at_least = sum(column.least for column in demands)
        if at_least > OPEN_BYTES:
            raise DamagedInput(
                f"{self.name}: row group {group + 1} unpacks to {at_least >> 20:,} MiB at once, "
                f"more than {OPEN_BYTES >> 20}: write it with smaller pages or row groups"
            )
        while rows > 1 and sum(column.rows(rows) for column in demands) > BATCH_BYTES:
            rows //= 2
        return rows

    def _chunks(self, group: int) -> Iterator[Any]:
        """The metadata of a row group's columns.

        pyarrow's own objects end the process where it is damaged. Arrow looks at all of it before
        it reads a page, and raises.
        """
        no_pages = _NoPages(self._bytes.size)
        footer = pq.ParquetFile(
            pa.PythonFile(no_pages, "r"),
            metadata=self._metadata,
            pre_buffer=False,
            buffer_size=MIN_READ_BUFFER_BYTES,  # else a column is read when it is opened
        )
        for leaves in self._slices:
            no_pages.reached = False
            alike = {"row_groups": [group], "column_indices": leaves, "use_threads": False}
            try:
                next(footer.reader.iter_batches(1, **alike), None)
            except (pa.ArrowException, OSError):
                if not no_pages.reached:
                    raise
        row_group = self._metadata.row_group(group)
        for i in range(min(row_group.num_columns, self._metadata.num_columns)):
            yield row_group.column(i)

    def same_format(self, output: Output) -> ParquetWriter:
        return ParquetWriter(output.stream, self.schema, output.added, output.metadata, self)

    def close(self) -> None:
        if hasattr(self, "_file"):
            self._file.close(force=True)
        self._opened.close()

    def codecs(self) -> dict[str, str]:
        """The compression codec of every column of the file, by its path."""
        if not self._metadata.num_row_groups:
            return {}
        with self._read_errors():
            return {column.path_in_schema: column.compression for column in self._chunks(0)}

    def footer(self) -> bytes:
        """The file's footer as it lies there."""
        with self._read_errors():
            return footer_of(self._bytes)


def _metadata(metadata: pq.FileMetaData, arrow: pa.Schema) -> dict[bytes, bytes]:
    """Every key and value of the file: Arrow gives only those of its own schema, if that is there.

    That schema is left out: it is written anew.
    """
    return {
        key: value
        for key, value in ((arrow.metadata or {}) | (metadata.metadata or {})).items()
        if key != ARROW_SCHEMA
    }


def _slices(arrow: pa.Schema, columns: int) -> list[list[int]]:
    """The leaf columns of a file, in lists of about SLICE_COLUMNS that cut no nested column."""
    counts = [len(leaf_types(field.type)) for field in arrow] if columns > SLICE_COLUMNS else []
    if sum(counts) != columns:
        return [list(range(columns))]
    slices: list[list[int]] = [[]]
    first = 0
    for count in counts:
        if len(slices[-1]) >= SLICE_COLUMNS:
            slices.append([])
        slices[-1] += range(first, first + count)
        first += count
    return slices
