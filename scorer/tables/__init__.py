"""Tables in windows: readers and writers of CSV, TSV, JSON Lines and Parquet.

open_reader(source) -> windows -> (a model's new columns) -> open_writer(stream).encode, .write
"""

from __future__ import annotations

import io
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO, Protocol, cast

import pyarrow as pa

from scorer.errors import InputError, UsageError
from scorer.tables.formats import (
    PARQUET_MAGIC,
    Compression,
    Kind,
    TableFormat,
    format_of_name,
    sniff,
)
from scorer.tables.source import (
    STDIN,
    Source,
    as_utf8,
    is_ascii_compatible,
    local_source,
    readable,
    stdin_source,
    writable,
)
from scorer.tables.window import (
    USUAL_SIZE,
    WINDOW_ROWS,
    Reject,
    Window,
    WindowSize,
)

__all__ = [
    "STDIN",
    "WINDOW_ROWS",
    "Compression",
    "Kind",
    "ReadOptions",
    "Reader",
    "Reject",
    "Source",
    "TableFormat",
    "Window",
    "WindowSize",
    "Writer",
    "format_of_name",
    "local_source",
    "open_reader",
    "open_writer",
    "stdin_source",
    "writable",
]

HEAD_BYTES = 4096


@dataclass(frozen=True)
class ReadOptions:
    """How text files are written. `delimiter` None: a comma for CSV, a tab for TSV.

    An output has its input's encoding, except that UTF-16 and UTF-32 come out as UTF-8.
    """

    delimiter: str | None = None
    encoding: str = "utf-8"


class Reader(Protocol):
    """An open table: its columns, its rows in windows (once), and how many where it is known."""

    name: str
    schema: pa.Schema
    rows: int | None
    encoding: str

    def windows(
        self, text: str, others: Sequence[str] = (), size: WindowSize = USUAL_SIZE
    ) -> Iterator[Window]: ...

    def close(self) -> None: ...


class Writer(Protocol):
    """`encode` is the work of any thread, `write` takes its results in order.

    `columns` are those that its windows must hold, whatever else is asked for.
    """

    columns: Sequence[str]

    def encode(self, window: Window, added: pa.RecordBatch) -> Any: ...

    def write(self, encoded: Any) -> None: ...

    def close(self) -> None:
        """Write what is held back. The stream stays open."""
        ...

    def abandon(self) -> None:
        """Forget what is held back; nothing after `close`."""
        ...


def open_reader(source: Source, options: ReadOptions | None = None) -> tuple[Reader, TableFormat]:
    """Open `source` as what its name or, where that says nothing, its first bytes say it is.

    Raises InputError where the content is not that.
    """
    stream, compression = readable(source)
    try:
        return _open(source, stream, compression, options or ReadOptions())
    except BaseException:
        stream.close()
        raise


def _open(
    source: Source,
    stream: io.BufferedReader[Any],
    compression: Compression | None,
    options: ReadOptions,
) -> tuple[Reader, TableFormat]:
    head = stream.peek(HEAD_BYTES)[:HEAD_BYTES]
    named = format_of_name(source.name)
    kind = named.kind if named else sniff(head).kind
    is_parquet = head.startswith(PARQUET_MAGIC)
    found = TableFormat(kind, compression)
    if is_parquet != (kind == "parquet"):
        what = "a Parquet file" if is_parquet else f"no Parquet file: it begins with {head[:8]!r}"
        raise InputError(f"{source.name}: is {what}; give it the name of what it is")
    encoding = options.encoding
    if kind != "parquet" and not is_ascii_compatible(encoding):
        stream, encoding = as_utf8(source.name, stream, encoding), "utf-8"
    binary = cast(BinaryIO, stream)
    if kind == "parquet":
        return _open_parquet(source, binary, compression), found
    if kind == "jsonl":
        from scorer.tables.jsonl import JsonLinesReader

        return JsonLinesReader(source.name, binary, encoding), found
    from scorer.tables.delimited import DelimitedReader

    delimiter = options.delimiter or ("\t" if kind == "tsv" else ",")
    return DelimitedReader(source.name, binary, kind, delimiter, encoding), found


def _open_parquet(source: Source, stream: BinaryIO, compression: Compression | None) -> Reader:
    from scorer.tables.parquet import ParquetReader

    if compression:
        raise InputError(
            f"{source.name}: a Parquet file inside {compression}: decompress it first "
            "(Parquet compresses its own pages)"
        )
    if source.random is not None:
        stream.close()
        return ParquetReader(source.name, source.random())
    # Parquet is read from its end: a stream is kept on disk first.
    spool = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as its reader
    shutil.copyfileobj(stream, spool)
    spool.seek(0)
    return ParquetReader(source.name, cast(BinaryIO, spool))


def open_writer(
    stream: BinaryIO,
    kind: Kind,
    reader: Reader,
    added: pa.Schema,
    metadata: Mapping[str, str],
    *,
    csv_safe: bool = False,
) -> Writer:
    """A writer of `reader`'s rows with the columns `added` at the right.

    `metadata` goes into the file where the format has room for it (Parquet). With `csv_safe` no
    cell of a CSV or TSV output is a spreadsheet's formula. Raises UsageError where the input's kind
    cannot be written as `kind`.
    """
    if csv_safe and kind in ("csv", "tsv"):
        return _guarded(stream, kind, reader, added, metadata)
    from scorer.tables.delimited import DelimitedReader, DelimitedWriter
    from scorer.tables.jsonl import JsonLinesReader, JsonLinesWriter
    from scorer.tables.parquet import ParquetReader, ParquetWriter

    if isinstance(reader, ParquetReader) and kind == "parquet":
        return ParquetWriter(stream, reader.schema, added, metadata, reader.codecs())
    if isinstance(reader, DelimitedReader) and kind == reader.kind:
        return DelimitedWriter(stream, reader, added)
    if isinstance(reader, JsonLinesReader):
        if kind == "jsonl":
            reader.reserved = frozenset(added.names)
            return JsonLinesWriter(stream, reader.encoding, added)
        raise UsageError(
            f"{reader.name}: its objects need not have the same keys, so the output is "
            "JSON Lines too: give it the suffix .jsonl"
        )
    return _converter(stream, kind, reader, added, metadata)


def _guarded(
    stream: BinaryIO, kind: Kind, reader: Reader, added: pa.Schema, metadata: Mapping[str, str]
) -> Writer:
    """A writer of CSV or TSV whose cells a spreadsheet takes for no formula."""
    from scorer.tables.delimited import DelimitedReader
    from scorer.tables.formulas import FormulaGuard

    delimiter, encoding = "\t" if kind == "tsv" else ",", "utf-8"
    if isinstance(reader, DelimitedReader) and kind == reader.kind:
        delimiter, encoding = reader.delimiter, reader.encoding

    def make(inner: BinaryIO) -> Writer:
        return open_writer(inner, kind, reader, added, metadata)

    return FormulaGuard(make, stream, delimiter, encoding)


def _converter(
    stream: BinaryIO, kind: Kind, reader: Reader, added: pa.Schema, metadata: Mapping[str, str]
) -> Writer:
    """A writer of another format than the reader's."""
    from scorer.tables.convert import ToCsv, ToJsonLines, ToParquet

    names = reader.schema.names
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise UsageError(
            f"{reader.name}: two columns are named {twice!r}: the output keeps the input's format"
        )
    if kind == "parquet":
        return ToParquet(stream, reader.schema, added, metadata)
    if kind == "jsonl":
        return ToJsonLines(stream, names)
    return ToCsv(reader.name, stream, reader.schema, added, "\t" if kind == "tsv" else ",")
