"""Which of the input's columns the output has: `--keep`, `--drop`, `--only-new`."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, cast

import pyarrow as pa

from scorer.errors import ColumnError, UsageError
from scorer.tables.columns import missing
from scorer.tables.formats.base import Format, Output, Reader, Writer
from scorer.tables.parts import lines_of
from scorer.tables.window import USUAL_SIZE, Window, WindowSize

if TYPE_CHECKING:
    from scorer.tables.text.delimited import DelimitedReader


@dataclass(frozen=True)
class ColumnChoice:
    """The columns of the input that are written; by default all of them.

    keep      only these, in the input's order
    drop      all but these
    only_new  none but those of `keep`: the new columns and, for example, an id
    """

    keep: tuple[str, ...] = ()
    drop: tuple[str, ...] = ()
    only_new: bool = False

    def __post_init__(self) -> None:
        if self.drop and (self.keep or self.only_new):
            other = "--keep" if self.keep else "--only-new"
            raise UsageError(f"--drop and {other} exclude each other: use one of them")

    @property
    def everything(self) -> bool:
        return not (self.keep or self.drop or self.only_new)

    def places(self, name: str, present: Sequence[str]) -> list[int]:
        """Where the chosen columns stand among `present`. Raises ColumnError for a missing one."""
        for column in (*self.keep, *self.drop):
            if column not in present:
                raise ColumnError(f"{name}: no column {column!r}{missing([column], present)}")
        if self.keep or self.only_new:
            return [i for i, column in enumerate(present) if column in self.keep]
        return [i for i, column in enumerate(present) if column not in self.drop]


def chosen(reader: Reader, choice: ColumnChoice) -> Reader:
    """The reader as a writer shall see it. Raises ColumnError where a column is not there."""
    return reader if choice.everything else cast(Reader, Chosen(reader, choice))


class Chosen:
    """A reader of which only some columns are written; all of them can be read."""

    def __init__(self, reader: Reader, choice: ColumnChoice) -> None:
        """Raises ColumnError where a column is not there."""
        self.name, self.format, self.encoding = reader.name, reader.format, reader.encoding
        self.has_header = getattr(reader, "has_header", True)
        self._reader = reader
        self.places = choice.places(reader.name, reader.schema.names)
        self.choice = choice
        fields = [reader.schema.field(i) for i in self.places]
        self.schema = pa.schema(fields, reader.schema.metadata)

    @property
    def rows(self) -> int | None:
        return self._reader.rows

    @property
    def lines(self) -> int:
        """The lines that have been read."""
        return lines_of(self._reader)

    def windows(
        self,
        text: str,
        others: Sequence[str] = (),
        size: WindowSize = USUAL_SIZE,
        reserved: frozenset[str] = frozenset(),
    ) -> Iterator[Window]:
        return self._reader.windows(text, others, size, reserved)

    def same_format(self, output: Output) -> Writer:
        """Raises UsageError where the format cannot hold what is left."""
        from scorer.tables.text.delimited import DelimitedWriter

        inner = _delimited(self._reader)
        if inner is not None:
            head = inner.head_of(self.places)
            return DelimitedWriter(output.stream, head, output.added)
        if self.format.objects:
            return self._reader.same_format(output)
        return self.format.converter(cast(Reader, self), output)

    def close(self) -> None:
        self._reader.close()


class ChosenWriter:
    """A writer of rows whose bytes are kept but for the columns that are left out."""

    def __init__(self, writer: Writer, reader: Chosen) -> None:
        self._writer = writer
        self._pick = _picker(reader)

    @property
    def columns(self) -> Sequence[str]:
        return self._writer.columns

    @property
    def notes(self) -> Sequence[str]:
        return self._writer.notes

    def encode(self, window: Window, added: pa.RecordBatch) -> Any:
        assert window.raw is not None
        rows = [self._pick(raw) for raw in window.raw.to_pylist()]
        picked = replace(window, raw=pa.array(rows, pa.binary()))
        return self._writer.encode(picked, added)

    def write(self, encoded: Any) -> None:
        self._writer.write(encoded)

    def close(self) -> None:
        self._writer.close()

    def abandon(self) -> None:
        self._writer.abandon()


def chosen_writer(format: Format, reader: Chosen, output: Output) -> Writer:
    """A writer of the chosen columns and the new ones. Raises UsageError, ColumnError."""
    writer = format.writer(cast(Reader, reader), output)
    keeps_bytes = reader.format.objects or (reader.format is format and _picks_text(reader))
    return cast(Writer, ChosenWriter(writer, reader)) if keeps_bytes else writer


def _picks_text(reader: Chosen) -> bool:
    return _delimited(reader._reader) is not None


def _delimited(reader: Any) -> DelimitedReader | None:
    """The reader of CSV or TSV that this one is, its rows limited or not."""
    return reader if hasattr(reader, "picked") else None


def _picker(reader: Chosen) -> Any:
    """A function from a row's bytes to those of its chosen columns."""
    inner, places = _delimited(reader._reader), reader.places
    if inner is not None:
        return lambda raw: inner.picked(raw, places)
    choice = reader.choice
    kept = set(choice.keep) if choice.keep or choice.only_new else None

    def pick(raw: bytes) -> bytes:
        row = json.loads(raw.decode(reader.encoding))
        left = {
            key: value
            for key, value in row.items()
            if (key in kept if kept is not None else key not in choice.drop)
        }
        body = raw.rstrip()
        text = json.dumps(left, ensure_ascii=False, separators=(",", ":"))
        return text.encode(reader.encoding, "surrogatepass") + raw[len(body) :]

    return pick
