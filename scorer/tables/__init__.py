"""Reads and writes tables in windows, in every format of `formats.FORMATS`.

open_reader(source) -> windows -> (a model's new columns) -> open_writer(stream).encode, .write

    source.py remote.py compression.py foreign.py conditional.py
                 where a table lies, and its bytes
    formats/     which format is read and written by what
    text/        CSV, TSV, JSON Lines, JSON arrays: records keep their bytes
    parquet/     Parquet
    arrow.py ipc_messages.py orc.py excel.py
                 Arrow files and streams, ORC, Excel
    window.py    what passes between readers, workers and writers
    columns.py choice.py limit.py parts.py
                 which columns and rows are read and written
    convert.py values.py arrays.py batches.py
                 values in other formats, and Arrow arrays
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import BinaryIO, cast

import pyarrow as pa

from scorer.tables.choice import Chosen, ColumnChoice, chosen, chosen_writer
from scorer.tables.compression import Compression
from scorer.tables.formats import TableFormat, format_of_content, format_of_name
from scorer.tables.formats.base import Format, Input, Output, Reader, Writer
from scorer.tables.limit import first_rows
from scorer.tables.source import (
    STDIN,
    Content,
    Source,
    as_utf8,
    is_ascii_compatible,
    local_source,
    readable,
    stdin_source,
    writable,
)
from scorer.tables.text.options import ReadOptions
from scorer.tables.window import (
    WINDOW_ROWS,
    Reject,
    Window,
    WindowSize,
)

__all__ = [
    "STDIN",
    "WINDOW_ROWS",
    "Chosen",
    "ColumnChoice",
    "Compression",
    "Format",
    "ReadOptions",
    "Reader",
    "Reject",
    "Source",
    "TableFormat",
    "Window",
    "WindowSize",
    "Writer",
    "chosen",
    "format_of_name",
    "local_source",
    "open_reader",
    "open_writer",
    "stdin_source",
    "writable",
]


def open_reader(source: Source, options: ReadOptions | None = None) -> tuple[Reader, TableFormat]:
    """Open `source` as what its name or, where that says nothing, its first bytes say it is.

    Raises InputError where the content is not that.
    """
    content = readable(source)
    try:
        options = options or ReadOptions()
        reader, format = _open(source, content, options)
        return first_rows(reader, options.limit), format
    except BaseException:
        content.stream.close()
        raise


def _open(source: Source, content: Content, options: ReadOptions) -> tuple[Reader, TableFormat]:
    is_wide = not is_ascii_compatible(options.encoding)
    text = content.head.decode(options.encoding, "ignore").encode() if is_wide else None
    format = format_of_content(source.name, content.names, content.head, text)
    stream = content.stream
    recoded = ""
    if format.is_text and is_wide:
        recoded = options.encoding
        stream = as_utf8(source.name, stream, recoded)
        options = replace(options, encoding="utf-8")
    data = Input(source, cast(BinaryIO, stream), content.compression, recoded)
    return format.open(data, options), TableFormat(format, content.compression)


def open_writer(
    stream: BinaryIO,
    format: Format,
    reader: Reader,
    added: pa.Schema,
    metadata: Mapping[str, str],
    *,
    csv_safe: bool = False,
) -> Writer:
    """A writer of `reader`'s rows in `format`, with the columns `added` at the right.

    Of a `Chosen` reader only the chosen columns are written. `metadata` goes into the file where
    the format has room for it. With `csv_safe` no cell of a CSV or TSV output is a spreadsheet's
    formula. Raises UsageError where the input's rows cannot be written in that format.
    """
    output = Output(stream, added, metadata, csv_safe)
    if isinstance(reader, Chosen):
        return chosen_writer(format, reader, output)
    return format.writer(reader, output)
