"""JSON Lines: one object a line, its bytes kept, the new keys put before the closing brace."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any, BinaryIO

import pyarrow as pa

from scorer.errors import InputError
from scorer.tables.formats.base import Format, Output
from scorer.tables.window import (
    RECORD_BYTES,
    USUAL_SIZE,
    WINDOW_ROWS,
    Record,
    Reject,
    Window,
    WindowSize,
    cut_windows,
    skip_long_line,
)

MAX_LINE_BYTES = RECORD_BYTES
# Three bytes can be an object, which Python needs hundreds for.
MAX_VALUES = 1 << 18
# The keys of the first objects, as far as either goes, are the file's columns.
SCHEMA_ROWS = WINDOW_ROWS
SCHEMA_BYTES = 1 << 20
BOM = b"\xef\xbb\xbf"


class _Object:
    """One line that holds an object."""

    def __init__(self, row: int, line: int, raw: bytes, value: dict[str, Any]) -> None:
        self.row, self.line, self.raw, self.value = row, line, raw, value


class JsonLinesReader:
    """Reads JSON Lines in windows; `schema` has the keys of the first objects."""

    def __init__(self, name: str, stream: BinaryIO, format: Format, encoding: str) -> None:
        self.name = name
        self.rows: int | None = None
        self.encoding = encoding
        self.format = format
        self._stream = stream
        self._items = self._parse()
        self._first = self._take(SCHEMA_ROWS, SCHEMA_BYTES)
        self.schema = self._schema_of_first()

    def _take(self, rows: int, size: int) -> deque[_Object | Reject]:
        """The next items, until there are `rows` or their lines have `size` bytes."""
        taken: deque[_Object | Reject] = deque()
        for item in islice(self._items, rows):
            taken.append(item)
            size -= len(item.raw)
            if size <= 0:
                break
        return taken

    def _schema_of_first(self) -> pa.Schema:
        objects = [item for item in self._first if isinstance(item, _Object)]
        if self._first and not objects:
            reject = self._first[0]
            assert isinstance(reject, Reject)
            raise InputError(
                f"{self.name}: not a JSON Lines file: line {reject.line}: {reject.reason}"
            )
        types: dict[str, pa.DataType] = {}
        for item in objects:
            for key, value in item.value.items():
                if types.get(key, pa.null()) == pa.null():
                    types[key] = _type_of(value)
        return pa.schema(types.items())

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

    def _all(self) -> Iterator[_Object | Reject]:
        while self._first:
            yield self._first.popleft()  # held no longer than needed
        yield from self._items

    def same_format(self, output: Output) -> JsonLinesWriter:
        return JsonLinesWriter(output.stream, self.encoding, output.added)

    def close(self) -> None:
        self._stream.close()

    def _parse(self) -> Iterator[_Object | Reject]:
        row = number = 0
        while line := self._stream.readline(MAX_LINE_BYTES):
            number += 1
            content = line.removeprefix(BOM) if number == 1 else line
            if not content.strip():
                continue
            row += 1
            if skip_long_line(self._stream, line, MAX_LINE_BYTES):
                reason, value = f"line longer than {MAX_LINE_BYTES >> 20} MiB", dict[str, Any]()
            else:
                reason, value = self._value(content)
            yield Reject(row, reason, line, number) if reason else _Object(row, number, line, value)
        self.rows = row

    def _value(self, line: bytes) -> tuple[str, dict[str, Any]]:
        """Why the line cannot be read (empty if it can), and its object."""
        if len(line) > MAX_VALUES and sum(map(line.count, (b",", b"[", b"{"))) > MAX_VALUES:
            return f"more than {MAX_VALUES:,} values", {}
        try:
            value = json.loads(line.decode(self.encoding))
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
        self, item: _Object | Reject, text: str, others: Sequence[str], reserved: frozenset[str]
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
        try:
            (value or "").encode()
        except UnicodeEncodeError:
            reason = f"{text!r} holds half of a surrogate pair"
            return Reject(item.row, reason, item.raw, item.line)
        return Record(item.raw, [value, *(_as_text(item.value.get(key)) for key in others)])


class JsonLinesWriter:
    """Puts the new keys into each object's own bytes."""

    columns: Sequence[str] = ()

    def __init__(self, stream: BinaryIO, encoding: str, added: pa.Schema) -> None:
        self._stream = stream
        self._encoding = encoding
        self._keys = [json.dumps(name, ensure_ascii=False) for name in added.names]

    def encode(self, window: Window, added: pa.RecordBatch) -> bytes:
        """The window's lines with the new keys; called from any thread."""
        assert window.raw is not None
        columns = [json_values(column) for column in added.columns]
        rows = zip(window.raw, zip(*columns, strict=True), strict=True)
        return b"".join([self._append(raw, values) for raw, values in rows])

    def _append(self, raw: bytes, values: Sequence[str]) -> bytes:
        body = raw.rstrip()
        inner = body.removesuffix(b"}")
        pairs = ",".join(f"{key}:{value}" for key, value in zip(self._keys, values, strict=True))
        comma = "" if inner.rstrip().endswith(b"{") else ","
        return inner + f"{comma}{pairs}}}".encode(self._encoding) + raw[len(body) :]

    def write(self, encoded: bytes) -> None:
        self._stream.write(encoded)

    def close(self) -> None:
        """Nothing is held back: every write went to the stream."""

    abandon = close


def json_values(column: pa.Array) -> list[str]:
    """A column's values as JSON: numbers in their shortest form, null for null and NaN."""
    if pa.types.is_string(column.type):
        return [json.dumps(value, ensure_ascii=False) for value in column.to_pylist()]
    texts = column.cast(pa.string()).to_pylist()
    return ["null" if text in (None, "nan", "inf", "-inf") else text for text in texts]


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
    # Half of a surrogate pair, which JSON can spell, is no text that Arrow can hold.
    return text.encode("utf-8", "replace").decode()
