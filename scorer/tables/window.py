"""What passes between the readers, the workers and the writers: bounded slices of a table."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

WINDOW_ROWS = 1024
WINDOW_BYTES = 8 << 20
# A window of less is worth growing: so much keeps a worker busy for tens of milliseconds.
SMALL_BYTES = 1 << 20
# No row may be longer, whatever the format.
RECORD_BYTES = 16 << 20


@dataclass(frozen=True)
class WindowSize:
    """When a window has enough: `rows` rows, or, while these are small, up to `most` of them.

    None has much more than 8 MiB, however few its rows.
    """

    rows: int = WINDOW_ROWS
    most: int = WINDOW_ROWS

    def __str__(self) -> str:
        return f"{self.rows}" if self.rows == self.most else f"{self.rows} to {self.most}"

    def enough(self, rows: int, size: int) -> bool:
        """Whether a window of so many rows and bytes is to be closed."""
        if size >= WINDOW_BYTES or rows >= self.most:
            return True
        return rows >= self.rows and size >= SMALL_BYTES

    def rows_of(self, rows: int, size: int) -> int:
        """How many rows a window has, where a table's `rows` of `size` bytes are alike."""
        return max(self.rows, min(self.most, SMALL_BYTES * rows // max(size, 1)))


USUAL_SIZE = WindowSize()


@dataclass(frozen=True)
class Reject:
    """A row that cannot be read.

    `row` counts the file's records from 1, unreadable ones included and the header not; `line` is
    the physical line on which the record starts (text formats only).
    """

    row: int
    reason: str
    raw: bytes
    line: int | None = None


@dataclass(frozen=True)
class Window:
    """Consecutive rows of one input, small enough to be held several times over.

    `texts` is what the model reads: a string or large_string array, one entry a row. `table`
    holds the columns that were asked for (Parquet: all of them). `raw` is each row as its bytes
    in the file, line end included; None for Parquet. `rejects` lie among or before these rows.
    """

    index: int
    texts: pa.Array
    table: pa.RecordBatch
    raw: tuple[bytes, ...] | None = None
    rejects: tuple[Reject, ...] = ()

    @property
    def rows(self) -> int:
        return len(self.texts)


class Record(NamedTuple):
    """One readable row of a text format: its bytes and the values of the columns asked for."""

    raw: bytes
    values: Sequence[str | None]


def cut_windows(
    items: Iterable[Record | Reject], columns: Sequence[str], size: WindowSize
) -> Iterator[Window]:
    """Group what a text reader yields into windows.

    The cuts depend on the input alone, so that a resumed run meets the same windows again.
    """
    index, count, held = 0, 0, 0
    records: list[Record] = []
    rejects: list[Reject] = []
    least, enough = min(size.rows, size.most), size.enough
    for item in items:
        if isinstance(item, Record):
            records.append(item)
        else:
            rejects.append(item)
        count += 1
        held += len(item.raw)
        if (count >= least or held >= WINDOW_BYTES) and enough(count, held):
            yield _window(index, records, rejects, columns)
            index, count, held, records, rejects = index + 1, 0, 0, [], []
    if held:
        yield _window(index, records, rejects, columns)


def _window(
    index: int, records: Sequence[Record], rejects: Sequence[Reject], columns: Sequence[str]
) -> Window:
    """The records as a window; the first of `columns` is the text."""
    values = zip(*(record.values for record in records), strict=True)
    arrays = [pa.array(column, pa.string()) for column in values] or [
        pa.array([], pa.string()) for _ in columns
    ]
    return Window(
        index=index,
        texts=arrays[0],
        table=pa.RecordBatch.from_arrays(arrays, names=list(columns)),
        raw=tuple(record.raw for record in records),
        rejects=tuple(rejects),
    )


def halved(batch: pa.RecordBatch, limit: int) -> Iterator[tuple[pa.RecordBatch, int]]:
    """The batch, cut where its cells take more than `limit` bytes, and the bytes of each piece.

    No piece has less than one row.
    """
    size = sum(map(_cell_bytes, batch.columns))
    if size <= limit or batch.num_rows <= 1:
        yield batch, size
        return
    middle = batch.num_rows // 2
    yield from halved(batch.slice(0, middle), limit)
    yield from halved(batch.slice(middle), limit)


def _cell_bytes(column: pa.Array) -> int:
    """What the cells of a column take, those of a dictionary as often as they are named."""
    if not pa.types.is_dictionary(column.type):
        return int(column.nbytes)
    values = column.dictionary
    if not _is_binary(values.type):
        return int(column.indices.nbytes) + 16 * len(column)
    lengths = pc.binary_length(values).take(column.indices)
    return int(column.indices.nbytes) + (pc.sum(lengths).as_py() or 0)


def _is_binary(kind: pa.DataType) -> bool:
    return bool(
        pa.types.is_string(kind)
        or pa.types.is_large_string(kind)
        or pa.types.is_binary(kind)
        or pa.types.is_large_binary(kind)
    )
