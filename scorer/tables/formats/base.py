"""What a table format is: one object that knows its names, its first bytes, reader and writers."""

from __future__ import annotations

import shutil
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, BinaryIO, Protocol, cast

import pyarrow as pa

from scorer.errors import InputError, UsageError
from scorer.tables.window import USUAL_SIZE, Window, WindowSize

if TYPE_CHECKING:
    from scorer.tables.compression import Compression
    from scorer.tables.source import Source
    from scorer.tables.text.options import ReadOptions


class Reader(Protocol):
    """An open table: its columns, its rows in windows (once), and how many where it is known."""

    name: str
    format: Format
    schema: pa.Schema
    rows: int | None
    encoding: str

    def windows(
        self,
        text: str,
        others: Sequence[str] = (),
        size: WindowSize = USUAL_SIZE,
        reserved: frozenset[str] = frozenset(),
    ) -> Iterator[Window]:
        """The rows, from the first to the last.

        Where rows need not have the same keys, one that already has a `reserved` key is rejected:
        these are the names of the columns to come.
        """
        ...

    def same_format(self, output: Output) -> Writer:
        """A writer of this reader's rows in the format, dialect and encoding they came in."""
        ...

    def close(self) -> None: ...


class Writer(Protocol):
    """`encode` is the work of any thread, `write` takes its results in order.

    `columns` are those that its windows must hold, whatever else is asked for. `notes` say, once
    it is closed, what of the input the output does not keep.
    """

    columns: Sequence[str]
    notes: Sequence[str]

    def encode(self, window: Window, added: pa.RecordBatch) -> Any: ...

    def write(self, encoded: Any) -> None: ...

    def close(self) -> None:
        """Write what is held back. The stream stays open."""
        ...

    def abandon(self) -> None:
        """Forget what is held back; nothing after `close`."""
        ...


@dataclass(frozen=True)
class Output:
    """Where rows go, and what they gain.

    added     the columns that are appended at the right
    metadata  for the file, where its format has room for it
    csv_safe  whether no cell of a CSV or TSV file may be a spreadsheet's formula
    """

    stream: BinaryIO
    added: pa.Schema
    metadata: Mapping[str, str]
    csv_safe: bool = False


@dataclass(frozen=True)
class Input:
    """The bytes of a table, compression undone. Whoever takes `stream` closes it.

    recoded   the encoding that `stream` has no longer: it gives UTF-8
    """

    source: Source
    stream: BinaryIO
    compression: Compression | None = None
    recoded: str = ""

    @property
    def uncut(self) -> str:
        """Why no bytes but the first can be found in `stream`, and the remedy; empty if they can.

        They are those of `source` then.
        """
        if self.compression is not None:
            return f"it is compressed ({self.compression}): decompress it first"
        if self.recoded:
            return f"it is in {self.recoded}: convert it to UTF-8"
        return "" if self.source.random else "it can only be read once: copy it to a file first"

    def seekable(self, label: str) -> Any:
        """What pyarrow can read at any place: a path, or an open file that is the caller's.

        Raises InputError where a file of this format (`label`) is compressed as a whole.
        """
        if self.compression is not None:
            raise InputError(
                f"{self.source.name}: a {label} file inside {self.compression}: decompress it "
                f"first ({label} compresses its own parts)"
            )
        if self.source.random is not None:
            self.stream.close()
            return self.source.random()
        # Such a file is read from its end: a stream is kept on disk first.
        spool = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as its reader
        shutil.copyfileobj(self.stream, spool)
        spool.seek(0)
        return cast(BinaryIO, spool)


class Format(ABC):
    """A table format. Import what reads and writes it inside the methods: start-up stays light.

    label       what messages call it
    suffixes    in lower case, the usual one first
    options     the fields of ReadOptions that say something about it
    magic       how every file of it begins; empty for text formats, which are told by `sniff`
    objects     whether its rows are JSON objects, which need not have the same keys
    written_as  the format that its rows are written in where it is only read; None: itself
    """

    label: str
    suffixes: tuple[str, ...]
    options: tuple[str, ...] = ()
    magic: bytes = b""
    objects: bool = False
    written_as: Format | None = None

    def __repr__(self) -> str:
        return f"<{self.label}>"

    @property
    def is_text(self) -> bool:
        return not self.magic

    def sniff(self, head: bytes) -> bool:
        """Whether a file that begins with `head`, and has no telling name, is one of these."""
        return bool(self.magic) and head.startswith(self.magic)

    @abstractmethod
    def open(self, data: Input, options: ReadOptions) -> Reader:
        """Raises InputError where the content is not of this format."""

    def writer(self, reader: Reader, output: Output) -> Writer:
        """A writer of `reader`'s rows in this format, with the new columns at their right.

        Raises UsageError where such rows cannot be written so.
        """
        if reader.format is self:
            return reader.same_format(output)
        if reader.format.objects:
            raise UsageError(
                f"{reader.name}: its objects need not have the same keys, so the output is "
                f"{reader.format.label} too: give it the suffix {reader.format.suffixes[0]}"
            )
        names = reader.schema.names
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise UsageError(
                f"{reader.name}: two columns are named {twice!r}: "
                "the output keeps the input's format"
            )
        try:
            return self.converter(reader, output)
        except pa.ArrowException as error:
            reason = " ".join(str(error).split())
            raise UsageError(
                f"{reader.name}: cannot be written as {self.label}: {reason}"
            ) from error

    @abstractmethod
    def converter(self, reader: Reader, output: Output) -> Writer:
        """A writer of rows that have columns, and came in another format."""
