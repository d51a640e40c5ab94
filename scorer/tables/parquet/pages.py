"""What the pages of a Parquet row group unpack to, read off the pages' own headers.

Arrow unpacks what a page's header says, whatever the file's footer claims of it. So these headers
are what must be looked at before anything is unpacked. They are structs of Thrift's compact
protocol: https://github.com/apache/parquet-format/blob/master/src/main/thrift/parquet.thrift
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa

from scorer.tables.parquet.thrift import Compact, Fields

# What the open pages, dictionaries and buffers of all columns together may take.
OPEN_BYTES = 320 << 20
# About what one batch of rows may take at most.
BATCH_BYTES = 64 << 20
# A column of lists may unpack to this many times its bytes in the file, and to OPEN_BYTES anyway.
LIST_RATIO = 100
HEADER_BYTES = 1 << 10
MAX_HEADER_BYTES = 1 << 20
# More than any value of a fixed width, its place in the row included.
WIDTH = 16
DATA_PAGE, DICTIONARY_PAGE, DATA_PAGE_V2 = 0, 2, 3
# An encoding by which many long values take few bytes.
DELTA_BYTE_ARRAY = 7
# Old writers left a dictionary's header out of their sums; Arrow reads that much further.
SLACK = 100

# The codecs of Parquet that Arrow offers for single buffers too.
CODECS = ("UNCOMPRESSED", "SNAPPY", "GZIP", "BROTLI", "ZSTD", "LZ4", "LZ4_RAW")
# Repetition levels in more runs than this are not looked at: it would take too long.
MAX_RUNS = 1 << 18

LENGTH = struct.Struct("<I")
# A dictionary of no more is not searched for its longest entry.
SHORT_BYTES = 1 << 10


class FileBytes:
    """An open file, read at any place. Whoever else reads it must seek anew each time."""

    def __init__(self, file: Any) -> None:
        self._file = file
        self.size = file.seek(0, 2)

    def __call__(self, at: int, length: int) -> bytes:
        self._file.seek(at)
        return bytes(self._file.read(length))


@dataclass(frozen=True, slots=True)
class Page:
    """One page: where its content begins, and the bytes of its header and its content.

    `repetition` is the number of bytes of its repetition levels, where the header says it: these
    are then not compressed.
    """

    at: int
    header: int
    packed: int
    unpacked: int
    is_dictionary: bool
    values: int
    encoding: int | None
    repetition: int | None = None

    @property
    def size(self) -> int:
        return self.header + max(self.packed, self.unpacked)


def pages(read: FileBytes, chunk: Any) -> Iterator[Page]:
    """The pages of a column chunk, as Arrow would meet them. Raises ValueError for a bad header."""
    at = chunk.data_page_offset
    if chunk.has_dictionary_page and 0 < chunk.dictionary_page_offset < at:
        at = chunk.dictionary_page_offset
    end, values = min(at + chunk.total_compressed_size + SLACK, read.size), 0
    while values < chunk.num_values and at < end:
        page = _page(read, at, end)
        yield page
        values += page.values
        at = page.at + page.packed


def _page(read: FileBytes, at: int, end: int) -> Page:
    header, length = _header(read, at, end)
    kind, unpacked, packed = (header.numbers.get(place, 0) for place in (1, 2, 3))
    details, encoding = {DATA_PAGE: (5, 2), DATA_PAGE_V2: (8, 4)}.get(kind, (0, 0))
    data = header.structs.get(details, Fields()).numbers
    values = data.get(1, 0)
    if min(packed, unpacked, values) < 0 or at + length + packed > end:
        raise ValueError("a page's header lies about its size")
    is_dictionary = kind == DICTIONARY_PAGE
    repetition = data.get(6, 0) if kind == DATA_PAGE_V2 else None
    return Page(
        at + length, length, packed, unpacked, is_dictionary, values, data.get(encoding), repetition
    )


def _header(read: FileBytes, at: int, end: int) -> tuple[Fields, int]:
    """The page header at `at`, and its length in the file."""
    size = HEADER_BYTES
    while True:
        parser = Compact(read(at, min(size, end - at)))
        try:
            return parser.fields(), parser.at
        except IndexError:
            if size >= min(end - at, MAX_HEADER_BYTES):
                raise ValueError("a page's header is cut off") from None
            size *= 8
        except ValueError as error:
            raise ValueError(f"a page's header is damaged: {error}") from None


@dataclass(frozen=True, slots=True)
class Demand:
    """The bytes that a column of a row group may take.

    open    while it is read, whatever the number of rows: a page, the dictionary, a buffer
    longest one value that can be had many times for next to nothing
    data    its data pages
    is_list whether one row may hold any number of values
    widest  the most values that a row holds; None where nobody has looked
    """

    open: int
    longest: int
    data: Sequence[Page]
    is_list: bool
    widest: int | None = None

    @property
    def least(self) -> int:
        """What one row may take."""
        if not self.is_dense:
            return self.open + self.longest
        return self.open + (self.total if self.widest is None else self._of(self.widest))

    def rows(self, count: int) -> int:
        """What `count` rows may take, one after another anywhere in the column."""
        if self.is_dense and self.widest is not None:
            return min(count * self._of(self.widest), self.total)
        return count * self.longest + _span(self.data, count)

    @property
    def total(self) -> int:
        """What all its values may take."""
        values = sum(page.values for page in self.data)
        return self._of(values) + sum(page.size for page in self.data)

    @property
    def is_dense(self) -> bool:
        """Whether one row may take far more than the whole column takes in the file."""
        return self.is_list and self.total > LIST_RATIO * sum(page.packed for page in self.data)

    def _of(self, values: int) -> int:
        return values * (self.longest + WIDTH)


def demand(read: FileBytes, chunk: Any, column: Any, buffer: int) -> Demand:
    """What the column chunk may take; `column` is its ParquetColumnSchema."""
    chunk_pages = list(pages(read, chunk))
    data = [page for page in chunk_pages if not page.is_dictionary]
    dictionaries = [page for page in chunk_pages if page.is_dictionary]
    longest = WIDTH
    if chunk.physical_type == "FIXED_LEN_BYTE_ARRAY":
        longest = max(WIDTH, column.length or 0)
    elif chunk.physical_type == "BYTE_ARRAY":
        delta = [page for page in data if page.encoding == DELTA_BYTE_ARRAY]
        entries = [_longest_entry(read, page, chunk.compression) for page in dictionaries]
        longest = max(longest, _largest(delta), *entries)
    packed = sum(page.packed for page in chunk_pages)
    opened = _largest(dictionaries) + _largest(data) + min(buffer, packed)
    return Demand(opened, longest, data, bool(column.max_repetition_level))


def looked_into(read: FileBytes, chunk: Any, column: Any, known: Demand) -> Demand:
    """`known` with the most values of a row, read off the column's repetition levels.

    It stays as it is where they cannot be read, or would take long.
    """
    if not known.is_dense or _largest(known.data) > OPEN_BYTES:
        return known
    rows = RowLengths(column.max_repetition_level)
    try:
        for page in known.data:
            rows.add(_repetition_levels(read, page, chunk.compression), page.values)
    except (IndexError, ValueError, struct.error, pa.ArrowException, OSError):
        return known
    return replace(known, widest=rows.most)


def _repetition_levels(read: FileBytes, page: Page, codec: str) -> bytes:
    """A page's repetition levels: runs, each of one level or of packed ones."""
    if page.repetition is not None:
        return read(page.at, page.repetition)
    content = unpacked(read, page, codec)
    (length,) = LENGTH.unpack_from(content)
    return content[LENGTH.size : LENGTH.size + length]


def unpacked(read: FileBytes, page: Page, codec: str) -> bytes:
    """A page's content. Raises ValueError for a codec that has no decompressor here."""
    content = read(page.at, page.packed)
    if codec == "UNCOMPRESSED":
        return content
    # To Parquet "LZ4" is the block, to Arrow's codecs it is the frame around it.
    codec = {"LZ4": "lz4_raw"}.get(codec, codec.lower())
    return bytes(pa.Codec(codec).decompress(content, page.unpacked))


class RowLengths:
    """The most values that a row holds, told from repetition levels: a row begins at level 0."""

    def __init__(self, highest: int) -> None:
        self.most = 0
        self._width = highest.bit_length()
        self._runs = 0
        self._open = 0

    def add(self, levels: bytes, count: int) -> None:
        """The next `count` levels. Raises ValueError where the runs are too many to look at."""
        parser = Compact(levels)
        while count > 0:
            self._runs += 1
            if self._runs > MAX_RUNS:
                raise ValueError("the repetition levels have too many runs")
            head = parser.varint()
            if head & 1:
                size = (head >> 1) * self._width
                packed = levels[parser.at : parser.at + size]
                parser.at += size
                count -= self._packed(packed, count)
            else:
                size = (self._width + 7) // 8
                level = int.from_bytes(levels[parser.at : parser.at + size], "little")
                parser.at += size
                length = min(head >> 1, count)
                self._repeated(level, length)
                count -= length
            if parser.at > len(levels):
                raise IndexError

    def _packed(self, packed: bytes, most: int) -> int:
        bits = np.unpackbits(np.frombuffer(packed, np.uint8), bitorder="little")
        starts = bits.reshape(-1, self._width)[:most].max(axis=1, initial=0) == 0
        places = np.flatnonzero(starts)
        if len(places):
            self._close(self._open + int(places[0]))
            self.most = max(self.most, int(np.diff(places).max(initial=0)))
            self._open = len(starts) - int(places[-1])
        else:
            self._open += len(starts)
        self._close(self._open)
        return len(starts)

    def _repeated(self, level: int, length: int) -> None:
        if level == 0 and length:
            self._open = 1
        else:
            self._open += length
        self._close(self._open)

    def _close(self, values: int) -> None:
        self.most = max(self.most, values)


def _largest(chunk_pages: Sequence[Page]) -> int:
    return max((page.size for page in chunk_pages), default=0)


def _span(data: Sequence[Page], values: int) -> int:
    """The most bytes that the pages of so many values in a row have."""
    most = size = held = first = 0
    for page in data:
        size, held = size + page.size, held + page.values
        # A run that ends in this page begins in the first, or the first is not of it.
        while held - page.values - data[first].values > values - 2 and data[first] is not page:
            size, held, first = size - data[first].size, held - data[first].values, first + 1
        most = max(most, size)
    return most


def _longest_entry(read: FileBytes, page: Page, codec: str) -> int:
    """The bytes of the longest text in a dictionary: each is there with its length before it."""
    if not SHORT_BYTES < page.size < OPEN_BYTES or codec not in CODECS:
        return page.size
    content = unpacked(read, page, codec)
    at = longest = 0
    while at + 4 <= len(content):
        (length,) = LENGTH.unpack_from(content, at)
        longest = max(longest, length)
        at += 4 + length
    return longest
