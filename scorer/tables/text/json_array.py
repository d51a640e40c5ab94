"""A JSON array of objects: taken apart in bounded memory, the bytes of every object kept."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO

import pyarrow as pa

from scorer.errors import InputError
from scorer.tables.convert import ToJsonLines
from scorer.tables.formats.base import Output
from scorer.tables.parts import Looking, Parts, PartSize, unseen
from scorer.tables.text.json_writer import JsonLinesWriter
from scorer.tables.text.jsonl import MAX_LINE_BYTES, JsonLinesReader, JsonObject
from scorer.tables.text.lines import BOM
from scorer.tables.window import Record, Records, Reject, Window

CHUNK_BYTES = 1 << 16
SPACE = b" \t\r\n"
_BETWEEN_ELEMENTS = re.compile(rb'["{}\[\],]')
_WITHIN_ELEMENT = re.compile(rb'["{}\[\]]')
_REST_OF_STRING = re.compile(rb'(?:[^"\\]++|\\.)*+"', re.DOTALL)
_IN_STRINGS = re.compile(rb'["\\]')
_LINE_ENDS = re.compile(rb"[ \t]*[\r\n][ \t\r\n]*")


@dataclass(frozen=True)
class _Element:
    """What lies between two commas of the array, and the line on which it begins."""

    raw: bytes
    line: int
    is_long: bool


class _Elements:
    """Takes an array apart by its brackets and strings alone; what is in it is for others."""

    def __init__(self, name: str, stream: BinaryIO) -> None:
        self._name = name
        self._stream = stream
        self._parts: list[bytes] = []
        self._size = 0
        self._lines_left_out = 0
        self._line = 1
        self._depth = 0
        self._in_string = self._escaped = self._closed = False

    def __iter__(self) -> Iterator[_Element]:
        """Raises InputError where the array does not end, or something follows it."""
        while chunk := self._stream.read(CHUNK_BYTES):
            if self._closed:
                self._check_rest(chunk)
            else:
                yield from self._take(chunk)
        if not self._closed:
            raise InputError(f"{self._name}: is cut off: its JSON array has no closing bracket")

    def _take(self, chunk: bytes) -> Iterator[_Element]:
        """The elements that end in the next piece of the file."""
        start = 0
        for mark, end in self._marks(chunk):
            if mark == b"[" and self._depth == 0:
                self._depth, start = 1, end
                self._line += chunk[:end].count(b"\n")
            elif mark in (b"{", b"["):
                self._depth += 1
            elif mark == b"," and self._depth == 1:
                self._keep(chunk[start : end - 1])
                yield self._element()
                start = end
            elif mark == b"]" and self._depth == 1:
                self._closed = True
                self._keep(chunk[start : end - 1])
                yield self._element()
                self._check_rest(chunk[end:])
                return
            elif mark in (b"}", b"]") and self._depth > 1:
                self._depth -= 1
        if self._depth:
            self._keep(chunk[start:])
        else:
            self._line += chunk.count(b"\n")

    def _marks(self, chunk: bytes) -> Iterator[tuple[bytes, int]]:
        """The brackets and commas outside strings, and where each ends."""
        at = 0
        while not self._closed:
            if self._escaped:
                if at >= len(chunk):
                    return
                at, self._escaped = at + 1, False
            outside = _BETWEEN_ELEMENTS if self._depth <= 1 else _WITHIN_ELEMENT
            match = (_IN_STRINGS if self._in_string else outside).search(chunk, at)
            if match is None:
                return
            at, mark = match.end(), match[0]
            if mark == b"\\":
                self._escaped = True
            elif mark != b'"':
                yield mark, at
            elif self._in_string:
                self._in_string = False
            elif rest := _REST_OF_STRING.match(chunk, at):
                at = rest.end()
            else:  # it goes on in the next piece
                self._in_string = True

    def _keep(self, part: bytes) -> None:
        """Hold a part of the element, as far as it is not too long."""
        kept = part[: max(MAX_LINE_BYTES - self._size, 0)]
        self._parts.append(kept)
        self._lines_left_out += part[len(kept) :].count(b"\n")
        self._size += len(part)

    def _element(self) -> _Element:
        whole = b"".join(self._parts)
        content = whole.lstrip(SPACE)
        line = self._line + whole[: len(whole) - len(content)].count(b"\n")
        self._line += whole.count(b"\n") + self._lines_left_out
        is_long = self._size > MAX_LINE_BYTES
        self._parts, self._size, self._lines_left_out = [], 0, 0
        return _Element(content.rstrip(SPACE), line, is_long)

    def _check_rest(self, rest: bytes) -> None:
        if rest.strip(SPACE):
            raise InputError(f"{self._name}: goes on after the end of its JSON array")


class JsonArrayReader(JsonLinesReader):
    """Reads an array of objects in windows; `schema` has the keys of the first objects."""

    def parts(self, size: PartSize, looking: Looking = unseen) -> Parts:
        return Parts((), "a JSON array is not split: write it as JSON Lines")

    def same_format(self, output: Output) -> JsonArrayWriter:
        return JsonArrayWriter(output.stream, self.encoding, output.added)

    def _rest(
        self, text: str, others: Sequence[str], reserved: frozenset[str]
    ) -> Iterator[Record | Records | Reject]:
        return (self._record(item, text, others, reserved) for item in self._items)

    def _parse(self) -> Iterator[JsonObject | Reject]:
        row, last = 0, None
        for element in _Elements(self.name, self._stream):
            if last is not None:
                row += 1
                yield self._object(row, last)
            last = element
        if last is not None and (last.raw or row):  # else the array is empty
            row += 1
            yield self._object(row, last)
        self.rows = row

    def _object(self, row: int, element: _Element) -> JsonObject | Reject:
        raw = element.raw
        if element.is_long:
            reason, value = f"object longer than {MAX_LINE_BYTES >> 20} MiB", dict[str, Any]()
        elif not raw:
            reason, value = "invalid JSON: nothing before or after a comma", {}
        else:
            reason, value = self._value(raw)
        if reason:
            return Reject(row, reason, raw, element.line)
        return JsonObject(row, element.line, raw, value)


class _ArrayOutput:
    """Writes pieces of an array with what goes before, between and after them."""

    _stream: BinaryIO
    _is_begun = False

    def write(self, encoded: bytes | memoryview) -> None:
        if encoded:
            self._stream.write((b",\n" if self._is_begun else b"[\n") + encoded)
            self._is_begun = True

    def close(self) -> None:
        """End the array."""
        self._stream.write(b"\n]\n" if self._is_begun else b"[]\n")


class JsonArrayWriter(_ArrayOutput, JsonLinesWriter):
    """Puts the new keys into each object's own bytes, and the objects on lines of an array."""

    separator = b",\n"

    def _rows(self, raw: pa.Array) -> pa.Array:
        bare = [each.removeprefix(BOM).strip(SPACE) + self.separator for each in raw.to_pylist()]
        return pa.array(bare, pa.binary())


class OneLineWriter(JsonLinesWriter):
    """Puts the new keys into each object's own bytes, and each on one line of JSON Lines."""

    def _rows(self, raw: pa.Array) -> pa.Array:
        # A line's end cannot lie in a string: JSON has it escaped there.
        lines = [_LINE_ENDS.sub(b" ", each) + b"\n" for each in raw.to_pylist()]
        return pa.array(lines, pa.binary())


class ToJsonArray(_ArrayOutput, ToJsonLines):
    """Tables with columns as an array of objects."""

    def encode(self, window: Window, added: pa.RecordBatch) -> bytes:
        """The window's rows as objects; called from any thread. Raises ColumnError."""
        lines = super().encode(window, added)
        return lines.rstrip(b"\n").replace(b"\n", b",\n")  # in a string they are escaped
