"""What the pages of a Parquet row group unpack to, read off the pages' own headers.

Arrow unpacks what a page's header says, whatever the file's footer claims of it. So these headers
are what must be looked at before anything is unpacked. They are structs of Thrift's compact
protocol: https://github.com/apache/parquet-format/blob/master/src/main/thrift/parquet.thrift
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

# What the open pages, dictionaries and buffers of all columns together may take.
OPEN_BYTES = 320 << 20
# About what one batch of rows may take at most.
BATCH_BYTES = 64 << 20
# A column of lists may unpack to this many times its bytes in the file, and to OPEN_BYTES anyway.
LIST_RATIO = 100
HEADER_BYTES = 1 << 10
MAX_HEADER_BYTES = 1 << 20
MAX_DEPTH = 8
# More than any value of a fixed width, its place in the row included.
WIDTH = 16
DATA_PAGE, DICTIONARY_PAGE, DATA_PAGE_V2 = 0, 2, 3
# An encoding by which many long values take few bytes.
DELTA_BYTE_ARRAY = 7
# Old writers left a dictionary's header out of their sums; Arrow reads that much further.
SLACK = 100

LENGTH = struct.Struct("<I")
# A dictionary of no more is not searched for its longest entry.
SHORT_BYTES = 1 << 10
# The types of the compact protocol.
TRUE, FALSE, BYTE, I16, I32, I64, DOUBLE, BINARY, LIST, SET = range(1, 11)
STRUCT = 12


class FileBytes:
    """An open file, read at any place. Whoever else reads it must seek anew each time."""

    def __init__(self, file: Any) -> None:
        self._file = file
        self.size = file.seek(0, 2)

    def __call__(self, at: int, length: int) -> bytes:
        self._file.seek(at)
        return bytes(self._file.read(length))


@dataclass(frozen=True)
class Fields:
    """A struct's 32-bit numbers and its structs, by field id; what else it holds is passed over."""

    numbers: dict[int, int] = field(default_factory=dict)
    structs: dict[int, Fields] = field(default_factory=dict)


class _Compact:
    """Reads Thrift's compact protocol."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.at = 0

    def _varint(self) -> int:
        result = shift = 0
        while True:
            byte = self._data[self.at]
            self.at += 1
            result |= (byte & 0x7F) << shift
            if byte < 0x80:
                return result
            shift += 7

    def _number(self) -> int:
        zigzag = self._varint()
        return (zigzag >> 1) ^ -(zigzag & 1)

    def struct(self, depth: int = 0) -> Fields:
        """The next struct. Raises IndexError where the data end within it."""
        if depth > MAX_DEPTH:
            raise ValueError("a page's header is nested too deep")
        fields = Fields()
        place = 0
        while head := self._data[self.at]:
            self.at += 1
            place = place + (head >> 4) if head >> 4 else self._number()
            kind = head & 15
            if kind in (TRUE, FALSE):  # the type is the value; only in a list it takes a byte
                continue
            value = self._value(kind, depth)
            if kind == I32 and isinstance(value, int):
                fields.numbers[place] = value
            elif isinstance(value, Fields):
                fields.structs[place] = value
        self.at += 1
        return fields

    def _value(self, kind: int, depth: int) -> int | Fields | None:
        if kind in (I16, I32, I64):
            return self._number()
        if kind == STRUCT:
            return self.struct(depth + 1)
        if kind in (TRUE, FALSE, BYTE):
            self.at += 1
        elif kind == DOUBLE:
            self.at += 8
        elif kind == BINARY:
            length = self._varint()
            self.at += length
        elif kind in (LIST, SET):
            self._list(depth)
        else:
            raise ValueError(f"a page's header holds a value of type {kind}")
        return None

    def _list(self, depth: int) -> None:
        head = self._data[self.at]
        self.at += 1
        count = head >> 4 if head >> 4 < 15 else self._varint()
        for _ in range(count):
            self._value(head & 15, depth + 1)
            if self.at > len(self._data):
                raise IndexError


@dataclass(frozen=True)
class Page:
    """One page: where its content begins, and the bytes of its header and its content."""

    at: int
    header: int
    packed: int
    unpacked: int
    is_dictionary: bool
    values: int
    encoding: int | None

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
    return Page(at + length, length, packed, unpacked, is_dictionary, values, data.get(encoding))


def _header(read: FileBytes, at: int, end: int) -> tuple[Fields, int]:
    """The page header at `at`, and its length in the file."""
    size = HEADER_BYTES
    while True:
        parser = _Compact(read(at, min(size, end - at)))
        try:
            return parser.struct(), parser.at
        except IndexError:
            if size >= min(end - at, MAX_HEADER_BYTES):
                raise ValueError("a page's header is cut off") from None
            size *= 8


@dataclass(frozen=True)
class Demand:
    """The bytes that a column of a row group may take.

    open    while it is read, whatever the number of rows: a page, the dictionary, a buffer
    longest one value that can be had many times for next to nothing
    data    its data pages
    is_list whether one row may hold any number of values
    """

    open: int
    longest: int
    data: Sequence[Page]
    is_list: bool

    def rows(self, count: int) -> int:
        """What `count` rows may take, one after another anywhere in the column."""
        return count * self.longest + _span(self.data, count)

    @property
    def total(self) -> int:
        """What all its values may take."""
        values = sum(page.values for page in self.data)
        return values * (self.longest + WIDTH) + sum(page.size for page in self.data)

    @property
    def is_dense(self) -> bool:
        """Whether one row may take far more than the whole column takes in the file."""
        return self.is_list and self.total > LIST_RATIO * sum(page.packed for page in self.data)


def demand(read: FileBytes, chunk: Any, column: Any, buffer: int) -> Demand:
    """What the column chunk may take; `column` is its ParquetColumnSchema."""
    found = list(pages(read, chunk))
    data = [page for page in found if not page.is_dictionary]
    dictionaries = [page for page in found if page.is_dictionary]
    longest = max(WIDTH, column.length or 0)
    if chunk.physical_type == "BYTE_ARRAY":
        delta = [page for page in data if page.encoding == DELTA_BYTE_ARRAY]
        entries = [_longest_entry(read, page, chunk.compression) for page in dictionaries]
        longest = max(longest, _largest(delta), *entries)
    packed = sum(page.packed for page in found)
    opened = _largest(dictionaries) + _largest(data) + min(buffer, packed)
    return Demand(opened, longest, data, bool(column.max_repetition_level))


def _largest(found: Sequence[Page]) -> int:
    return max((page.size for page in found), default=0)


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
    if not SHORT_BYTES < page.size < OPEN_BYTES or codec == "LZ4":  # a framing that Codec lacks
        return page.size
    content = read(page.at, page.packed)
    if codec != "UNCOMPRESSED":
        unpacked = pa.Codec(codec.lower()).decompress(content, decompressed_size=page.unpacked)
        content = unpacked.to_pybytes()
    at = longest = 0
    while at + 4 <= len(content):
        (length,) = LENGTH.unpack_from(content, at)
        longest = max(longest, length)
        at += 4 + length
    return longest
