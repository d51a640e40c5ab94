"""What passes between the readers, the workers and the writers: bounded slices of a table."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
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

    def first_enough(self, rows: int, sizes: Sequence[int]) -> int:
        """The least k >= 1 for which `enough(rows + k, sizes[k])`, `sizes` growing; one beyond the
        last where there is none."""
        by_rows = max(self.most - rows, 1)
        by_bytes = bisect_left(sizes, WINDOW_BYTES, 1)
        by_both = max(self.rows - rows, bisect_left(sizes, SMALL_BYTES, 1))
        return min(by_rows, by_bytes, by_both, len(sizes))

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


class Records(NamedTuple):
    """Readable rows that follow one another: the bytes of each, and the values of each column.

    A value may be the bytes of its UTF-8.
    """

    raw: Sequence[bytes] = ()
    columns: Sequence[Sequence[str | bytes | None]] = ()


def cut_windows(
    items: Iterable[Record | Records | Reject], columns: Sequence[str], size: WindowSize
) -> Iterator[Window]:
    """Group what a text reader yields into windows; the first of `columns` is the text.

    The cuts depend on the input alone, so that a resumed run meets the same windows again.
    """
    window = _Filling(0, columns, size)
    for item in items:
        if isinstance(item, Record):
            item = Records((item.raw,), [(value,) for value in item.values])
        left = window.reject(item) if isinstance(item, Reject) else window.take(item)
        while window.full:
            yield window.closed()
            window = _Filling(window.index + 1, columns, size)
            left = window.take(left)
    if window.held:
        yield window.closed()


class _Filling:
    """A window on its way: `held` bytes, and whether it is `full`."""

    def __init__(self, index: int, columns: Sequence[str], size: WindowSize) -> None:
        self.index, self.held, self.full = index, 0, False
        self._names, self._size, self._count = columns, size, 0
        self._raw: list[bytes] = []
        self._columns: list[list[str | bytes | None]] = [[] for _ in columns]
        self._rejects: list[Reject] = []

    def reject(self, item: Reject) -> Records:
        self._rejects.append(item)
        self._grow(1, self.held + len(item.raw))
        return Records()

    def take(self, some: Records) -> Records:
        """Add rows until the window is full. Returns those that are left."""
        if not some.raw:
            return some
        sizes = list(accumulate(map(len, some.raw), initial=self.held))
        end = min(self._size.first_enough(self._count, sizes), len(some.raw))
        self._raw += some.raw[:end]
        for column, values in zip(self._columns, some.columns, strict=True):
            column += values[:end]
        self._grow(end, sizes[end])
        return Records(some.raw[end:], [values[end:] for values in some.columns])

    def _grow(self, count: int, held: int) -> None:
        self._count, self.held = self._count + count, held
        self.full = self._size.enough(self._count, held)

    def closed(self) -> Window:
        arrays = [_strings(column) for column in self._columns]
        return Window(
            index=self.index,
            texts=arrays[0],
            table=pa.RecordBatch.from_arrays(arrays, names=list(self._names)),
            raw=tuple(self._raw),
            rejects=tuple(self._rejects),
        )


def _strings(values: Sequence[str | bytes | None]) -> pa.Array:
    """A string array; bytes are known to be UTF-8."""
    if set(map(type, values)) == {bytes}:
        return pa.array(values, pa.binary()).view(pa.string())
    return pa.array(values, pa.string())


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
