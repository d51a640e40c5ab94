"""What a Parquet file says of its columns in its footer, beyond what Arrow has a type for.

Arrow reads ENUM and GEOMETRY as bytes, TIME without its UTC flag, INTERVAL as twelve bytes, VARIANT
as a struct: written again they would have lost these names. So the annotations of the input's
schema are put into the output's, where the stored values are the same.
https://github.com/apache/parquet-format/blob/master/src/main/thrift/parquet.thrift
"""

from __future__ import annotations

import io
import struct as binary
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from scorer.tables.parquet.pages import FileBytes
from scorer.tables.parquet.thrift import BINARY, I32, STRUCT, Compact, Data, Fields, Span, struct

MAGIC = b"PAR1"
TAIL = binary.Struct("<I4s")
# Fields of FileMetaData and of SchemaElement.
SCHEMA = 2
TYPE, LENGTH, NAME, CHILDREN, CONVERTED, LOGICAL = 1, 2, 4, 5, 6, 10
INT96, FIXED = 3, 7

LOGICAL_NAMES = {
    1: "STRING",
    2: "MAP",
    3: "LIST",
    4: "ENUM",
    5: "DECIMAL",
    6: "DATE",
    7: "TIME",
    8: "TIMESTAMP",
    10: "INTEGER",
    11: "NULL",
    12: "JSON",
    13: "BSON",
    14: "UUID",
    15: "FLOAT16",
    16: "VARIANT",
    17: "GEOMETRY",
    18: "GEOGRAPHY",
}
# The older annotations, by the names of the newer ones.
CONVERTED_NAMES = (
    *("STRING", "MAP", "MAP_KEY_VALUE", "LIST", "ENUM", "DECIMAL", "DATE"),
    *("TIME in milliseconds, UTC", "TIME in microseconds, UTC"),
    *("TIMESTAMP in milliseconds, UTC", "TIMESTAMP in microseconds, UTC"),
    *("INTEGER",) * 8,
    *("JSON", "BSON", "INTERVAL"),
)
UNITS = {1: "milliseconds", 2: "microseconds", 3: "nanoseconds"}
# Groups whose annotation says how they are built; Arrow writes its own.
CONTAINERS = ("LIST", "MAP", "MAP_KEY_VALUE", "")


@dataclass(frozen=True, slots=True)
class Element:
    """One column or group of a schema.

    storage     physical type, and the length where that is fixed; (None, 0) of a group
    annotation  what its values mean, in words; "" if nothing says so
    fields      each field's type and bytes, by its id
    """

    path: tuple[str, ...]
    storage: tuple[int | None, int]
    annotation: str
    fields: Mapping[int, tuple[int, bytes]]
    start: int
    end: int

    @property
    def is_group(self) -> bool:
        return self.storage[0] is None

    @property
    def meaning(self) -> str:
        """What a reader takes the values for. INT96 is always a timestamp."""
        return "INT96" if self.storage[0] == INT96 else self.annotation

    @property
    def name(self) -> str:
        return ".".join(self.path)


def footer_of(read: FileBytes) -> bytes:
    """The footer of a Parquet file, as it lies there."""
    length, _ = TAIL.unpack(read(read.size - TAIL.size, TAIL.size))
    return read(read.size - TAIL.size - length, length)


def _schema(footer: Data) -> Compact:
    """A reader of the footer, at the list of the schema's elements."""
    parser = Compact(footer)
    for place, kind in parser.heads():
        if place == SCHEMA:
            break
        parser.skip(kind)
    return parser


def elements(footer: Data) -> Iterator[Element]:
    """The schema's columns and groups in the order of the file, the root left out."""
    parser = _schema(footer)
    _, count = parser.list_head()
    open_groups: list[tuple[str, int]] = []
    for place in range(count):
        start = parser.at
        spans = list(parser.spans())
        name, children = _name(footer, spans), _number(footer, spans, CHILDREN)
        while open_groups and not open_groups[-1][1]:
            open_groups.pop()
        if open_groups:
            parent, left = open_groups[-1]
            open_groups[-1] = (parent, left - 1)
        path = (*(group for group, _ in open_groups[1:]), name)
        if place:
            yield _element(footer, path, spans, start, parser.at)
        if children or not place:
            open_groups.append((name, children or 0))


def _element(
    footer: Data, path: tuple[str, ...], spans: list[Span], start: int, end: int
) -> Element:
    fields = {s.id: (s.kind, bytes(footer[s.start : s.end])) for s in spans}
    kind = _number(footer, spans, TYPE)
    length = _number(footer, spans, LENGTH) if kind == FIXED else 0
    return Element(path, (kind, length or 0), _annotation(footer, spans), fields, start, end)


def _number(footer: Data, spans: list[Span], place: int) -> int | None:
    for span in spans:
        if span.id == place and span.kind == I32:
            return Compact(footer, span.start).number()
    return None


def _name(footer: Data, spans: list[Span]) -> str:
    for span in spans:
        if span.id == NAME and span.kind == BINARY:
            text = Compact(footer, span.start)
            length = text.varint()
            return bytes(footer[text.at : text.at + length]).decode("utf-8", "replace")
    return ""


def _annotation(footer: Data, spans: list[Span]) -> str:
    """What the element's values mean, the same words for the newer annotation and the older."""
    for span in spans:
        if span.id == LOGICAL and span.kind == STRUCT:
            return _logical(Compact(footer, span.start).fields())
    converted = _number(footer, spans, CONVERTED)
    if converted is None:
        return ""
    known = 0 <= converted < len(CONVERTED_NAMES)
    return CONVERTED_NAMES[converted] if known else f"annotation {converted}"


def _logical(union: Fields) -> str:
    place = next(iter(union.structs), 0)
    name, details = LOGICAL_NAMES.get(place, f"annotation {place}"), union.structs.get(place)
    if details is None or name not in ("TIME", "TIMESTAMP"):
        return name
    unit = next(iter(details.structs.get(2, Fields()).structs), 0)
    zone = ", UTC" if details.flags.get(1) else ""
    return f"{name} in {UNITS.get(unit, 'an unknown unit')}{zone}"


def _same_values(theirs: Element, ours: Element) -> bool:
    """Whether the stored values of `ours` may be annotated like those of `theirs`."""
    if theirs.storage != ours.storage or not theirs.annotation:
        return False
    declared, read = (item.annotation.partition(",")[0] for item in (theirs, ours))
    timed = [words.partition(" ")[0] in ("TIME", "TIMESTAMP") for words in (declared, read)]
    if any(timed):
        return declared == read
    return "DECIMAL" not in (declared, read)


def _begins_with(ours: Data, theirs: Data) -> bool:
    """Whether the schema of `ours` has all elements of `theirs`, byte for byte, then its own."""
    places = []
    for parser in (_schema(ours), _schema(theirs)):
        parser.list_head()
        parser.skip(STRUCT)  # the root
        places.append(parser.at)
    kind, count = _schema(theirs).list_head()
    for _ in range(count - 1):
        parser.skip(kind)
    length = parser.at - places[1]
    return ours[places[0] : places[0] + length] == theirs[places[1] : parser.at]


def carried(theirs: Data, ours: Data) -> tuple[bytes | None, tuple[str, ...]]:
    """`ours` with the annotations of `theirs`, and a sentence for each that is lost nonetheless.

    Both are footers. The columns of `theirs` are the first ones of `ours`, in the same order. None
    where `ours` is right as it is.
    """
    if _begins_with(ours, theirs):
        return None, ()
    groups = {
        item.path: item
        for item in elements(theirs)
        if item.is_group and item.annotation not in CONTAINERS
    }
    columns = (item for item in elements(theirs) if not item.is_group)
    parts: list[Data] = []
    lost: list[str] = []
    at = 0
    for item in elements(ours):
        model = groups.pop(item.path, None) if item.is_group else next(columns, None)
        if model is None:
            continue
        if _same_values(model, item) and _annotations(model) != _annotations(item):
            parts += [ours[at : item.start], _annotated(item, model)]
            at = item.end
        elif model.meaning not in (item.meaning, "", "INTEGER"):
            became = item.meaning or "without a logical type"
            lost.append(f"column {model.name!r}: {model.meaning} is written as {became}")
    lost += [f"column {item.name!r}: {item.annotation} is not kept" for item in groups.values()]
    return b"".join([*parts, ours[at:]]) if parts else None, tuple(lost)


def _annotations(item: Element) -> list[tuple[int, bytes] | None]:
    return [item.fields.get(place) for place in (CONVERTED, LOGICAL)]


def _annotated(item: Element, model: Element) -> bytes:
    fields = {place: item.fields[place] for place in item.fields.keys() - {CONVERTED, LOGICAL}}
    fields |= {
        place: model.fields[place] for place in (CONVERTED, LOGICAL) if place in model.fields
    }
    return struct((place, *fields[place]) for place in sorted(fields))


class WithoutFooter:
    """A stream for a Parquet writer: all goes to `stream`, but nothing after `hold`.

    What is held back then is the footer, its length and the magic bytes: `close` writes them with
    the annotations of another file's footer.
    """

    closed = False

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._held: bytearray | None = None

    def write(self, data: bytes) -> int:
        if self._held is None:
            return self._stream.write(data)
        self._held += data
        return len(data)

    def flush(self) -> None:
        """Nothing: the stream's owner flushes it."""

    def hold(self) -> None:
        self._held = bytearray()

    def close(self, theirs: bytes | None) -> tuple[str, ...]:
        """Write the end of the file, like `theirs` if it is there; says what could not be kept."""
        held = memoryview(self._held or b"")
        end = len(held) - TAIL.size
        length, _ = TAIL.unpack(held[end:])
        ours = held[end - length : end]
        footer, lost = carried(theirs, ours) if theirs is not None else (None, ())
        if footer is not None and not _is_sound(footer):
            footer, lost = None, ("logical types that Arrow lacks are not kept",)
        self._stream.write(held if footer is None else held[: end - length])
        if footer is not None:
            self._stream.write(footer + TAIL.pack(len(footer), MAGIC))
        return lost


def _is_sound(footer: bytes) -> bool:
    """Whether Arrow takes the footer."""
    try:
        pq.read_metadata(io.BytesIO(MAGIC + footer + TAIL.pack(len(footer), MAGIC)))
    except (pa.ArrowException, OSError):
        return False
    return True
