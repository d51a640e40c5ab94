"""What passes between the readers, the workers and the writers: bounded slices of a table."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

WINDOW_ROWS = 1024
WINDOW_BYTES = 8 << 20
# A window of less is worth growing: so much keeps a worker busy for tens of milliseconds.
SMALL_BYTES = 1 << 20
# Fewer bytes of rows are not worth the compiled loops, which have to be loaded.
LOOP_BYTES = 1 << 16
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

    def first_enough(self, rows: int, sizes: np.ndarray) -> int:
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
    holds the columns that were asked for (Parquet: all of them). `raw`, a binary array, is each row
    as its bytes in the file, line end included; None for Parquet. `rejects` lie among or before
    these rows.
    """

    index: int
    texts: pa.Array
    table: pa.RecordBatch
    raw: pa.Array | None = None
    rejects: tuple[Reject, ...] = ()

    @property
    def rows(self) -> int:
        return len(self.texts)

    @property
    def raw_bytes(self) -> int:
        """What the rows take in the file; 0 for Parquet."""
        ends = offsets_of(self.raw) if self.raw is not None else [0]
        return int(ends[-1] - ends[0])


class Record(NamedTuple):
    """One readable row of a text format: its bytes and the values of the columns asked for."""

    raw: bytes
    values: Sequence[str | None]


class Records(NamedTuple):
    """Readable rows that follow one another: the bytes of each, and the values of each column.

    A binary array, and a string array for each column; nothing where there are no rows.
    """

    raw: pa.Array | tuple[()] = ()
    columns: Sequence[pa.Array] = ()


def cut_windows(
    items: Iterable[Record | Records | Reject], columns: Sequence[str], size: WindowSize
) -> Iterator[Window]:
    """Group what a text reader yields into windows; the first of `columns` is the text.

    The cuts depend on the input alone, so that a resumed run meets the same windows again.
    """
    window = _Filling(0, columns, size)
    for item in items:
        left = window.take(item)
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
        self._raw = _Joining(pa.binary())
        self._columns = [_Joining(pa.string()) for _ in columns]
        self._rejects: list[Reject] = []

    def take(self, item: Record | Records | Reject) -> Records:
        """Add rows until the window is full. Returns those that are left."""
        if isinstance(item, Records):
            return self._take(item) if len(item.raw) else item
        if isinstance(item, Reject):
            self._rejects.append(item)
        else:
            self._raw.add(item.raw)
            for column, value in zip(self._columns, item.values, strict=True):
                column.add(value)
        self._grow(1, self.held + len(item.raw))
        return Records()

    def _take(self, some: Records) -> Records:
        offsets = offsets_of(some.raw)
        sizes = offsets - offsets[0] + np.int64(self.held)
        end = min(self._size.first_enough(self._count, sizes), len(some.raw))
        self._raw.extend(some.raw[:end])
        for column, values in zip(self._columns, some.columns, strict=True):
            column.extend(values[:end])
        self._grow(end, int(sizes[end]))
        return Records(some.raw[end:], [values[end:] for values in some.columns])

    def _grow(self, count: int, held: int) -> None:
        self._count, self.held = self._count + count, held
        self.full = self._size.enough(self._count, held)

    def closed(self) -> Window:
        arrays = [column.whole() for column in self._columns]
        return Window(
            index=self.index,
            texts=arrays[0],
            table=pa.RecordBatch.from_arrays(arrays, names=list(self._names)),
            raw=self._raw.whole(),
            rejects=tuple(self._rejects),
        )


class _Joining:
    """An array of one type on its way, from values and from arrays."""

    def __init__(self, kind: pa.DataType) -> None:
        self._kind = kind
        self._arrays: list[pa.Array] = []
        self._single: list[str | bytes | None] = []

    def add(self, value: str | bytes | None) -> None:
        self._single.append(value)

    def extend(self, values: pa.Array) -> None:
        self._settle()
        self._arrays.append(values)

    def whole(self) -> pa.Array:
        self._settle()
        return pa.concat_arrays(self._arrays or [pa.array([], self._kind)])

    def _settle(self) -> None:
        if self._single:
            self._arrays.append(pa.array(self._single, self._kind))
            self._single = []


def offsets_of(strings: pa.Array) -> np.ndarray:
    """int32 (rows + 1,): where each value of a string or binary array begins in its data, and where
    the last one ends."""
    if not len(strings):
        return np.zeros(1, np.int32)
    return np.frombuffer(strings.buffers()[1], np.int32, len(strings) + 1, 4 * strings.offset)


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
