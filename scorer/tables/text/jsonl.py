"""JSON Lines: one object a line, its bytes kept, the new keys put before the closing brace."""

from __future__ import annotations

import json
import re
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import closing
from io import SEEK_END
from itertools import chain
from typing import Any

import pyarrow as pa

from scorer.errors import InputError
from scorer.tables.formats.base import Format, Input, Output
from scorer.tables.parts import (
    Looking,
    Part,
    Parts,
    PartSize,
    line_starts,
    parts_between,
    unseen,
)
from scorer.tables.text.json_writer import JsonLinesWriter
from scorer.tables.text.lines import (
    ANY_END,
    BOM,
    LF_END,
    LONE_CR,
    AnyLineEnds,
    LineSource,
    skip_long_line,
)
from scorer.tables.text.plain import TRIAL_BYTES, Blocks, PlainObjects
from scorer.tables.window import (
    RECORD_BYTES,
    USUAL_SIZE,
    WINDOW_ROWS,
    Record,
    Records,
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
        self._lines: LineSource = data.stream
        self._ends: tuple[bytes, ...] = LF_END
        self._is_start = True  # whether a byte order mark may come
        self._row = self._number = 0  # of the last object and line
        self._batches: Iterator[list[bytes]] = iter(())
        self._batch: deque[bytes] = deque()  # lines that are read and not parsed yet
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
            if re.match(rb"\s*\[\s*(\{|$)", reject.raw) and self.format.label != "JSON array":
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
        return cut_windows(self._records(text, others, reserved), [text, *others], size)

    def _records(
        self, text: str, others: Sequence[str], reserved: frozenset[str]
    ) -> Iterator[Record | Records | Reject]:
        while self._first:  # held no longer than needed
            yield self._record(self._first.popleft(), text, others, reserved)
        yield from self._rest(text, others, reserved)

    def same_format(self, output: Output) -> JsonLinesWriter:
        return JsonLinesWriter(output.stream, self.encoding, output.added)

    @property
    def lines(self) -> int | None:
        """The lines that have been read."""
        return self._number

    def parts(self, size: PartSize, looking: Looking = unseen) -> Parts:
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
        self._row = self._number = 0
        self._is_start = part.first == 0
        self._lines = Blocks(self._stream)
        self._batch = deque([self._lines.readline(MAX_LINE_BYTES)])  # a part has a line or more
        self._batches = self._in_batches(b"")

    def close(self) -> None:
        self._stream.close()

    def _parse(self) -> Iterator[JsonObject | Reject]:
        self._batches = self._in_batches(self._begin())
        for batch in self._batches:
            self._batch.extend(batch)
            while self._batch:
                item = self._item(self._batch.popleft())
                if item is not None:
                    yield item
        self.rows = self._row

    def _rest(
        self, text: str, others: Sequence[str], reserved: frozenset[str]
    ) -> Iterator[Record | Records | Reject]:
        """The rows after the first, many at a time."""
        left, self._batch = list(self._batch), deque()
        plain = self._plain([text, *others], reserved)
        for batch in chain([left], self._batches):
            for line in batch:
                item = self._item(line)
                if item is not None:
                    yield self._record(item, text, others, reserved)
            for records in plain:
                self._row += len(records.raw)
                self._number += len(records.raw)
                yield records
        self.rows = self._row

    def _plain(
        self, keys: Sequence[str], reserved: frozenset[str]
    ) -> PlainObjects | tuple[Records, ...]:
        """What takes most lines."""
        if self.encoding != "utf-8" or not isinstance(self._lines, Blocks):
            return ()
        longest = min(MAX_VALUES, MAX_LINE_BYTES)
        return PlainObjects(self._lines, keys, reserved, longest, _as_text)

    def _item(self, line: bytes) -> JsonObject | Reject | None:
        """What the next line holds; None where it is blank."""
        self._number += 1
        content = line.removeprefix(BOM) if self._is_start and self._number == 1 else line
        if not content.strip():
            return None
        self._row += 1
        if skip_long_line(self._lines, line, MAX_LINE_BYTES, self._ends):
            reason, value = f"line longer than {MAX_LINE_BYTES >> 20} MiB", dict[str, Any]()
        else:
            reason, value = self._value(content)
        if reason:
            return Reject(self._row, reason, line, self._number)
        return JsonObject(self._row, self._number, line, value)

    def _in_batches(self, first: bytes) -> Iterator[list[bytes]]:
        """All lines from `first` on. A batch's last is the one that was read last, so that what is
        left of it, where it is too long, comes next."""
        if first:
            yield [first]
        lines = self._lines
        while True:
            batch = lines.lines(MAX_LINE_BYTES, TRIAL_BYTES) if isinstance(lines, Blocks) else []
            if not batch:
                line = lines.readline(MAX_LINE_BYTES)
                if not line:
                    return
                batch = [line]
            yield batch

    def _begin(self) -> bytes:
        """The first line. A CR may end lines if it ends this one; else it is white space inside an
        object."""
        start = self._stream.readline(MAX_LINE_BYTES)
        content = start.removeprefix(BOM).lstrip()
        lone = LONE_CR.search(content)
        if lone is None or self._value(content[: lone.start()])[0]:
            self._lines = Blocks(self._stream)
            return start
        self._lines, self._ends = AnyLineEnds(start, self._stream), ANY_END
        return self._lines.readline(MAX_LINE_BYTES)

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
