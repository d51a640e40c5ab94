"""Thrift's compact protocol, as far as Parquet's page headers and footers need it.

https://github.com/apache/thrift/blob/master/doc/specs/thrift-compact-protocol.md
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

TRUE, FALSE, BYTE, I16, I32, I64, DOUBLE, BINARY, LIST, SET = range(1, 11)
STRUCT = 12
INTEGERS = (I16, I32, I64)
MAX_DEPTH = 8
# Ten bytes of seven bits hold any number.
MAX_SHIFT = 63

Data = bytes | memoryview


@dataclass(frozen=True, slots=True)
class Fields:
    """A struct's numbers (32 bits), flags and structs, by field id; no other value is kept."""

    numbers: dict[int, int] = field(default_factory=dict)
    flags: dict[int, bool] = field(default_factory=dict)
    structs: dict[int, Fields] = field(default_factory=dict)


class Span(NamedTuple):
    """One field of a struct, and where its value lies in the data. A flag has no value there."""

    id: int
    kind: int
    start: int
    end: int


class Compact:
    """Reads `data` from `at` on. Every method raises IndexError where the data end too early."""

    def __init__(self, data: Data, at: int = 0) -> None:
        self.data = data
        self.at = at

    def varint(self) -> int:
        """The next number without a sign."""
        result = shift = 0
        while True:
            byte = self.data[self.at]
            self.at += 1
            result |= (byte & 0x7F) << shift
            if byte < 0x80:
                return result
            shift += 7
            if shift > MAX_SHIFT:
                raise ValueError("a number has more than 64 bits")

    def number(self) -> int:
        """The next number with a sign."""
        zigzag = self.varint()
        return (zigzag >> 1) ^ -(zigzag & 1)

    def fields(self, depth: int = 0) -> Fields:
        """The next struct, with the structs in it. Raises ValueError where there is none."""
        fields = Fields()
        for place, kind in self.heads(depth):
            if kind in (TRUE, FALSE):
                fields.flags[place] = kind == TRUE
            elif kind == I32:
                fields.numbers[place] = self.number()
            elif kind == STRUCT:
                fields.structs[place] = self.fields(depth + 1)
            else:
                self.skip(kind, depth)
        return fields

    def spans(self, depth: int = 0) -> Iterator[Span]:
        """The fields of the next struct. The consumer must not move `at`."""
        for place, kind in self.heads(depth):
            start = self.at
            if kind not in (TRUE, FALSE):
                self.skip(kind, depth)
            yield Span(place, kind, start, self.at)

    def list_head(self) -> tuple[int, int]:
        """The type and the number of the values of the next list."""
        head = self.data[self.at]
        self.at += 1
        return head & 15, head >> 4 if head >> 4 < 15 else self.varint()

    def heads(self, depth: int = 0) -> Iterator[tuple[int, int]]:
        """Id and type of each field of a struct; the consumer reads the value."""
        if depth > MAX_DEPTH:
            raise ValueError("a struct is nested too deep")
        place = 0
        while head := self.data[self.at]:
            self.at += 1
            place = place + (head >> 4) if head >> 4 else self.number()
            yield place, head & 15
        self.at += 1

    def skip(self, kind: int, depth: int = 0) -> None:
        """Pass over the next value, which has a type."""
        if kind in INTEGERS:
            self.varint()
        elif kind == STRUCT:
            for _ in self.spans(depth + 1):
                pass
        elif kind in (TRUE, FALSE, BYTE):  # a flag takes a byte only in a list
            self.at += 1
        elif kind == DOUBLE:
            self.at += 8
        elif kind == BINARY:
            length = self.varint()
            self.at += length
        elif kind in (LIST, SET):
            self._skip_list(depth)
        else:
            raise ValueError(f"a struct holds a value of type {kind}")

    def _skip_list(self, depth: int) -> None:
        kind, count = self.list_head()
        if depth > MAX_DEPTH:
            raise ValueError("a struct is nested too deep")
        for _ in range(count):
            self.skip(kind, depth + 1)
            if self.at > len(self.data):
                raise IndexError


def varint(value: int) -> bytes:
    """A number without a sign, as `Compact.varint` reads it."""
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(0x80 | (value & 0x7F))
        value >>= 7
    return bytes([*encoded, value])


def struct(fields: Iterator[tuple[int, int, bytes]]) -> bytes:
    """A struct of fields in ascending order of their ids: id, type, and the value's bytes."""
    parts, last = [], 0
    for place, kind, value in fields:
        step = place - last
        # An id is written as its distance from the last one, or, where that is far, after zigzag.
        head = bytes([step << 4 | kind]) if 0 < step < 16 else bytes([kind]) + varint(2 * place)
        parts += [head, value]
        last = place
    return b"".join([*parts, b"\0"])
