"""JSON Lines: one object a line, its bytes kept, the new keys put before the closing brace."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import closing
from io import SEEK_END
from typing import Any, BinaryIO

import pyarrow as pa

from scorer.errors import InputError
from scorer.tables.formats.base import Format, Input, Output
from scorer.tables.lines import (
    ANY_END,
    BOM,
    LF_END,
    LONE_CR,
    AnyLineEnds,
    LineSource,
    skip_long_line,
)
from scorer.tables.parts import Part, Parts, PartSize, line_starts, parts_between
from scorer.tables.values import is_list_of_texts
from scorer.tables.window import (
    RECORD_BYTES,
    USUAL_SIZE,
    WINDOW_ROWS,
    Record,
    Reject,
    Window,
    WindowSize,
    cut_windows,
)

MAX_LINE_BYTES = RECORD_BYTES
# Three bytes can be an object, which Python needs hundreds for.
MAX_VALUES = 1 << 18
# The keys of the first objects, as far as either goes, are the file's columns.
SCHEMA_ROWS = WINDOW_ROWS
SCHEMA_BYTES = 1 << 20
# How far to look for the first key where objects are empty.
EMPTY_BYTES = 1 << 20


class JsonObject:
    """One line that holds an object."""

    __slots__ = ("line", "raw", "row", "value")

    def __init__(self, row: int, line: int, raw: bytes, value: dict[str, Any]) -> None:
        self.row, self.line, self.raw, self.value = row, line, raw, value


class JsonLinesReader:
    """Reads JSON Lines in windows; `schema` has the keys of the first objects."""

    def __init__(self, data: Input, format: Format, encoding: str) -> None:
        self.name = data.source.name
        self.rows: int | None = None
        self.encoding = encoding
        self.format = format
        self._data = data
        self._stream = data.stream
        self._ends: tuple[bytes, ...] = LF_END
        self._items = self._parse()
        self._first = self._take()
        self.schema = self._schema_of_first()

    def _take(self) -> deque[JsonObject | Reject]:
        """The first items: SCHEMA_ROWS or SCHEMA_BYTES of them, empty objects not counted.

        Of these there may be EMPTY_BYTES. Where the file ends before that, `rows` is known.
        """
        taken: deque[JsonObject | Reject] = deque()
        rows, size, empty = SCHEMA_ROWS, SCHEMA_BYTES, EMPTY_BYTES
        for item in self._items:
            taken.append(item)
            if isinstance(item, JsonObject) and not item.value:
                empty -= len(item.raw)
            else:
                rows, size = rows - 1, size - len(item.raw)
            if min(rows, size, empty) <= 0:
                break
        return taken

    def _schema_of_first(self) -> pa.Schema:
        objects = [item for item in self._first if isinstance(item, JsonObject)]
        if self._first and not objects:
            reject = self._first[0]
            assert isinstance(reject, Reject)
            hint = ""
            if reject.raw.lstrip().startswith(b"[") and self.format.label != "JSON array":
                hint = "; it begins as a JSON array: correct the extension to .json"
            raise InputError(
                f"{self.name}: not a {self.format.label} file: line {reject.line}: "
                f"{reject.reason}{hint}"
            )
        types: dict[str, pa.DataType] = {}
        for item in objects:
            for key, value in item.value.items():
                if types.get(key, pa.null()) == pa.null():
                    types[key] = _type_of(value)
        # A key with half of a surrogate pair is not a name that anyone could ask for.
        return pa.schema((key, kind) for key, kind in types.items() if _is_unicode(key))

    def windows(
        self,
        text: str,
        others: Sequence[str] = (),
        size: WindowSize = USUAL_SIZE,
        reserved: frozenset[str] = frozenset(),
    ) -> Iterator[Window]:
        """Windows whose first column is `text`; other values are given as their JSON text.

        An object with a `reserved` key is rejected.
        """
        items = (self._record(item, text, others, reserved) for item in self._all())
        return cut_windows(items, [text, *others], size)

    def _all(self) -> Iterator[JsonObject | Reject]:
        while self._first:
            yield self._first.popleft()  # held no longer than needed
        yield from self._items

    def same_format(self, output: Output) -> JsonLinesWriter:
        return JsonLinesWriter(output.stream, self.encoding, output.added)

    def parts(self, size: PartSize) -> Parts:
        """Runs of whole lines: every LF ends one, whatever precedes it."""
        if self._data.uncut or self._ends is not LF_END:
            return Parts((), self._data.uncut or "its lines end with CR alone: write LF")
        with closing(self._data.source.at_any_place()) as file:
            end = file.seek(0, SEEK_END)
            return parts_between([0, *line_starts(file, 0, end, size.bytes), end])

    def only(self, part: Part) -> None:
        """Read no other lines; the columns stay those of the whole."""
        self._stream.close()
        self._stream = self._data.source.section(part.first, part.end)
        self._first.clear()
        self.rows = None
        first = self._stream.readline(MAX_LINE_BYTES)
        self._items = self._objects(self._stream, LF_END, first, is_start=part.first == 0)

    def close(self) -> None:
        self._stream.close()

    def _parse(self) -> Iterator[JsonObject | Reject]:
        yield from self._objects(*self._begin(), is_start=True)

    def _objects(
        self, lines: LineSource, ends: tuple[bytes, ...], line: bytes, *, is_start: bool
    ) -> Iterator[JsonObject | Reject]:
        """What is in `line` and those that follow; the first line of all may have a byte order
        mark."""
        row = number = 0
        while line:
            number += 1
            content = line.removeprefix(BOM) if is_start and number == 1 else line
            if not content.strip():
                line = lines.readline(MAX_LINE_BYTES)
                continue
            row += 1
            if skip_long_line(lines, line, MAX_LINE_BYTES, ends):
                reason, value = f"line longer than {MAX_LINE_BYTES >> 20} MiB", dict[str, Any]()
            else:
                reason, value = self._value(content)
            yield (
                Reject(row, reason, line, number)
                if reason
                else JsonObject(row, number, line, value)
            )
            line = lines.readline(MAX_LINE_BYTES)
        self.rows = row

    def _begin(self) -> tuple[LineSource, tuple[bytes, ...], bytes]:
        """Where lines come from, what ends them, and the first: a CR may end them if it ends that.

        Elsewhere a CR is white space inside an object.
        """
        start = self._stream.readline(MAX_LINE_BYTES)
        content = start.removeprefix(BOM).lstrip()
        lone = LONE_CR.search(content)
        if lone is None or self._value(content[: lone.start()])[0]:
            return self._stream, LF_END, start
        lines = AnyLineEnds(start, self._stream)
        self._ends = ANY_END
        return lines, ANY_END, lines.readline(MAX_LINE_BYTES)

    def _value(self, line: bytes) -> tuple[str, dict[str, Any]]:
        """Why the line cannot be read (empty if it can), and its object."""
        if len(line) > MAX_VALUES and sum(map(line.count, (b",", b"[", b"{"))) > MAX_VALUES:
            return f"more than {MAX_VALUES:,} values", {}
        try:
            value = _parsed(line.decode(self.encoding))
        except UnicodeDecodeError as error:
            return f"invalid {self.encoding}: {error.reason} at byte {error.start + 1}", {}
        except json.JSONDecodeError as error:
            return f"invalid JSON: {error.msg} at column {error.colno}", {}
        except (ValueError, RecursionError) as error:
            return f"invalid JSON: {error}", {}
        if not isinstance(value, dict):
            return f"not a JSON object but {_name_of(value)}", {}
        return "", value

    def _record(
        self, item: JsonObject | Reject, text: str, others: Sequence[str], reserved: frozenset[str]
    ) -> Record | Reject:
        if isinstance(item, Reject):
            return item
        taken = reserved & item.value.keys()
        if taken:
            return Reject(item.row, f"already has a key {min(taken)!r}", item.raw, item.line)
        value = item.value.get(text)
        if value is not None and not isinstance(value, str):
            reason = f"{text!r} holds {_name_of(value)}, not a string"
            return Reject(item.row, reason, item.raw, item.line)
        if value and not value.isascii() and not _is_unicode(value):
            reason = f"{text!r} holds half of a surrogate pair"
            return Reject(item.row, reason, item.raw, item.line)
        return Record(item.raw, [value, *(_as_text(item.value.get(key)) for key in others)])


class JsonLinesWriter:
    """Puts the new keys into each object's own bytes."""

    columns: Sequence[str] = ()
    notes: Sequence[str] = ()
    separator = b""  # between two objects; a line has its own end

    def __init__(self, stream: BinaryIO, encoding: str, added: pa.Schema) -> None:
        self._stream = stream
        self._encoding = encoding
        self._names = added.names

    def encode(self, window: Window, added: pa.RecordBatch) -> bytes:
        """The window's lines with the new keys; called from any thread."""
        try:
            return self._encode(window, added, ascii_only=False)
        except UnicodeEncodeError:  # JSON can spell what the file's encoding lacks
            return self._encode(window, added, ascii_only=True)

    def _encode(self, window: Window, added: pa.RecordBatch, *, ascii_only: bool) -> bytes:
        assert window.raw is not None
        keys = [json.dumps(name, ensure_ascii=ascii_only) for name in self._names]
        columns = [json_values(column, ascii_only=ascii_only) for column in added.columns]
        tails = (
            ",".join([f"{key}:{value}" for key, value in zip(keys, values, strict=True)])
            for values in zip(*columns, strict=True)
        )
        rows = zip(window.raw, tails, strict=True)
        return self.separator.join([self._append(raw, tail) for raw, tail in rows])

    def _append(self, raw: bytes, tail: str) -> bytes:
        close = raw.rindex(b"}")
        # Only where the object may be empty is it looked at as a whole.
        may_be = raw[close - 1 : close] in b"{ \t\r\n"
        is_empty = may_be and raw[:close].rstrip().endswith(b"{")
        new = tail if is_empty else f",{tail}"
        return b"".join((raw[:close], new.encode(self._encoding), raw[close:]))

    def write(self, encoded: bytes) -> None:
        self._stream.write(encoded)

    def close(self) -> None:
        """Nothing is held back: every write went to the stream."""

    abandon = close


_DECODER = json.JSONDecoder()


def _parsed(text: str) -> Any:
    """`json.loads(text)`, without what it does around the scanner where nothing but an object and
    a line end is there."""
    if text.startswith("{"):
        try:
            value, end = _DECODER.raw_decode(text)
        except ValueError:
            return json.loads(text)
        if len(text) - end < 3 and text[end:] in ("\n", "\r\n", ""):
            return value
    return json.loads(text)


def json_values(column: pa.Array, *, ascii_only: bool = False) -> list[str]:
    """A column's values as JSON: numbers in their shortest form, null for null and NaN."""
    if pa.types.is_string(column.type) or is_list_of_texts(column.type):
        encode = json.JSONEncoder(ensure_ascii=ascii_only).encode
        return [encode(value) for value in column.to_pylist()]
    texts = column.cast(pa.string()).to_pylist()
    return ["null" if text in (None, "nan", "inf", "-inf") else text for text in texts]


def _is_unicode(text: str) -> bool:
    """False where there is half of a surrogate pair, which JSON can spell and Arrow cannot hold."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _type_of(value: Any) -> pa.DataType:
    """The type of a key's values; arrays and objects count as bytes, their JSON text."""
    kinds = {type(None): pa.null(), str: pa.string(), bool: pa.bool_()}
    kinds |= {int: pa.int64(), float: pa.float64()}
    return kinds.get(type(value), pa.large_binary())


def _name_of(value: Any) -> str:
    names = {bool: "true or false", dict: "an object", list: "an array", type(None): "null"}
    return names.get(type(value), "a string" if isinstance(value, str) else "a number")


def _as_text(value: Any) -> str | None:
    if value is None:
        return None
    text = value if isinstance(value, str) else json.dumps(value)
    # Half of a surrogate pair, which JSON can spell, is not text that Arrow can hold.
    return text.encode("utf-8", "replace").decode()
