"""Arrow's own files and streams: read batch by batch, written with schema and metadata kept."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa

from scorer.errors import InputError
from scorer.tables.batches import BatchEncoder, decoded, read_errors, windows_of
from scorer.tables.formats.base import Format, Output
from scorer.tables.ipc_messages import Message, messages_of_file, messages_of_stream
from scorer.tables.parquet.pages import OPEN_BYTES, FileBytes
from scorer.tables.window import USUAL_SIZE, Window, WindowSize


class _Place(io.RawIOBase):
    """A file for pyarrow with a place of its own, whoever else reads the file."""

    def __init__(self, read: FileBytes) -> None:
        self._bytes = read
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._bytes.size}[whence]
        self._at = base + offset
        return self._at

    def tell(self) -> int:
        return self._at

    def read(self, size: int = -1) -> bytes:
        rest = max(self._bytes.size - self._at, 0)
        data = self._bytes(self._at, rest if size < 0 else min(size, rest))
        self._at += len(data)
        return data


class ArrowReader:
    """Reads an Arrow file, or with `is_stream` a stream, in windows of all its columns."""

    encoding = "utf-8"

    def __init__(
        self, name: str, stream: BinaryIO | str, format: Format, *, is_stream: bool
    ) -> None:
        self.name = name
        self.format = format
        self.is_stream = is_stream
        with ExitStack() as opened, read_errors(self.name, "Arrow"):
            file = Path(stream).open("rb") if isinstance(stream, str) else stream  # noqa: SIM115
            opened.callback(file.close)
            self._bytes = FileBytes(file)
            self.rows: int | None = 0
            self.codec: str | None = None
            largest = 0
            for message in self._messages():
                self.codec = message.codec or self.codec
                largest = max(largest, message.body)
                self.rows += 0 if message.is_dictionary else message.rows
            self._source: Any = pa.PythonFile(_Place(self._bytes), "r")
            self._is_mapped = isinstance(stream, str) and largest > OPEN_BYTES
            if self._is_mapped:  # a batch of any size, as long as it is not compressed
                self._source = pa.memory_map(stream)
                opened.callback(self._source.close)
            self._reader = self._open()
            self.schema: pa.Schema = self._reader.schema
            self.schema.names  # noqa: B018 - which raises where one is not UTF-8
            self._opened = opened.pop_all()

    def _open(self) -> Any:
        self._source.seek(0)
        return (
            pa.ipc.open_stream(self._source) if self.is_stream else pa.ipc.open_file(self._source)
        )

    def _messages(self) -> Iterator[Message]:
        messages = messages_of_stream if self.is_stream else messages_of_file
        return messages(self._bytes, self._bytes.size)

    def windows(
        self,
        text: str,
        others: Sequence[str] = (),
        size: WindowSize = USUAL_SIZE,
        reserved: frozenset[str] = frozenset(),
    ) -> Iterator[Window]:
        """All columns, a window at a time; `reserved` names are the caller's to look for."""
        return windows_of(self.name, self.schema, self._batches(), text, size)

    def _batches(self) -> Iterator[pa.RecordBatch]:
        index = dictionaries = 0
        messages = self._messages()
        while True:
            with read_errors(self.name, "Arrow"):
                message = next(messages, None)
            if message is None:
                return
            held = max(message.unpacked, 0 if self._is_mapped else message.body)
            dictionaries += held if message.is_dictionary else 0
            needed = dictionaries + (0 if message.is_dictionary else held)
            if needed > OPEN_BYTES:
                raise InputError(
                    f"{self.name}: batch {index + 1} unpacks to {needed >> 20:,} MiB at once, "
                    f"more than {OPEN_BYTES >> 20}: write it with smaller batches"
                )
            if not message.is_dictionary:
                with read_errors(self.name, "Arrow"):
                    yield self._batch(index)
                index += 1

    def _batch(self, index: int) -> pa.RecordBatch:
        if not self.is_stream:
            return self._reader.get_batch(index)
        try:
            return self._reader.read_next_batch()
        except StopIteration:
            raise ValueError("it ends before its last batch") from None

    def same_format(self, output: Output) -> ArrowWriter:
        return ArrowWriter(output, self.schema, is_stream=self.is_stream, codec=self.codec)

    def close(self) -> None:
        self._opened.close()


class ArrowWriter(BatchEncoder):
    """Writes the windows' own columns, or `columns` of another format, with the new ones."""

    notes: Sequence[str] = ()

    def __init__(
        self,
        output: Output,
        schema: pa.Schema,
        *,
        is_stream: bool,
        codec: str | None = None,
        columns: Sequence[str] | None = None,
    ) -> None:
        super().__init__(with_columns(schema, output.added, output.metadata), columns)
        options = pa.ipc.IpcWriteOptions(compression=codec)
        new = pa.ipc.new_stream if is_stream else pa.ipc.new_file
        self._writer: Any = new(output.stream, self._schema, options=options)

    def write(self, encoded: pa.RecordBatch) -> None:
        self._writer.write_batch(encoded)

    def close(self) -> None:
        self._writer.close()

    def abandon(self) -> None:
        """Nothing more is written unless `close` is called."""


def arrow_converter(output: Output, schema: pa.Schema, *, is_stream: bool) -> ArrowWriter:
    """A writer of rows of another format."""
    return ArrowWriter(output, decoded(schema), is_stream=is_stream, columns=schema.names)


def with_columns(schema: pa.Schema, added: pa.Schema, metadata: Mapping[str, str]) -> pa.Schema:
    """The schema of an output: the input's with its metadata, and what is new."""
    kept = dict(schema.metadata or {})
    ours = {key.encode(): value.encode() for key, value in metadata.items()}
    return pa.schema([*schema, *added], metadata=kept | ours)
