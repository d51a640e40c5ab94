"""How the fields of a CSV record are told apart, and how a cell is written to be told apart."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from scorer.errors import UsageError

Quoting = Literal["double", "none"]
QUOTINGS: tuple[Quoting, ...] = ("double", "none")
QUOTE = '"'


@dataclass(frozen=True)
class Dialect:
    """What `ReadOptions` says of quotes and escapes, and the delimiter that a file really has."""

    delimiter: str = ","
    quoting: Quoting = "double"
    escape: str | None = None

    def parser(self, lines: Iterable[str], *, strict: bool = True) -> Iterator[list[str]]:
        """The records of `lines`; a `strict` one raises csv.Error where quotes are broken."""
        return csv.reader(
            lines,
            delimiter=self.delimiter,
            quoting=csv.QUOTE_NONE if self.quoting == "none" else csv.QUOTE_MINIMAL,
            escapechar=self.escape,
            strict=strict,
        )

    def cell(self, value: str) -> str:
        """`value` as a field that `parser` reads back. Raises UsageError where there is none."""
        escape = self.escape
        if self.quoting == "none":
            marks = (self.delimiter, "\r", "\n")
            if escape is not None:
                return _escaped(value, escape, (escape, *marks))
            if any(mark in value for mark in marks):
                raise UsageError(
                    f"{value!r} has a delimiter or a line end, and --quoting none has no place "
                    "for it: give --escape too, or write another format"
                )
            return value
        if escape is not None and escape in value:
            return QUOTE + _escaped(value, escape, (escape, QUOTE)) + QUOTE
        if any(mark in value for mark in (self.delimiter, QUOTE, "\r", "\n")):
            doubled = QUOTE * 2 if escape is None else escape + QUOTE
            return QUOTE + value.replace(QUOTE, doubled) + QUOTE
        return value

    def record(self, values: Iterable[str]) -> str:
        """A line of cells, without its end."""
        return self.delimiter.join(map(self.cell, values))

    @property
    def holds_numbers(self) -> bool:
        """Whether a number needs neither quotes nor escapes."""
        return not {self.delimiter, self.escape} & set("+-.")

    def body(self, record: str) -> str:
        """A record without its line end. One that is escaped is part of the last field."""
        body = record.rstrip("\r\n")
        if self.escape is not None and (len(body) - len(body.rstrip(self.escape))) % 2:
            return record[: len(body) + 1]
        return body


def _escaped(value: str, escape: str, marks: Iterable[str]) -> str:
    for mark in marks:
        value = value.replace(mark, escape + mark)
    return value
