"""ORC: read in batches of rows, written with the input's schema and compression.

Neither the metadata of an ORC file nor the names of the model can be written: pyarrow has no call
for them.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.dataset as ds
from pyarrow import orc

from scorer.tables.batches import BatchEncoder, decoded, read_errors, windows_of
from scorer.tables.formats.base import Format, Output
from scorer.tables.window import USUAL_SIZE, Window, WindowSize

UNCOMPRESSED = "UNCOMPRESSED"
WRITABLE_CODECS = (UNCOMPRESSED, "SNAPPY", "ZLIB", "LZ4", "ZSTD")


class OrcReader:
    """Reads an ORC file in windows of all its columns."""

    encoding = "utf-8"

    def __init__(self, name: str, stream: BinaryIO | str, format: Format) -> None:
        self.name = name
        self.format = format
        self._file = Path(stream).open("rb") if isinstance(stream, str) else stream  # noqa: SIM115
        try:
            with read_errors(self.name, "ORC"):
                opened = orc.ORCFile(self._file)
                self.schema: pa.Schema = opened.schema
                self.schema.names  # noqa: B018 - which raises where one is not UTF-8
                self.rows: int | None = opened.nrows
                self.codec = str(opened.compression)
                self._has_metadata = bool(opened.metadata)
        except BaseException:
            self._file.close()
            raise

    def windows(
        self,
        text: str,
        others: Sequence[str] = (),
        size: WindowSize = USUAL_SIZE,
        reserved: frozenset[str] = frozenset(),
    ) -> Iterator[Window]:
        """All columns, a window at a time; `reserved` names are the caller's to look for."""
        return windows_of(self.name, self.schema, self._batches(size.rows), text, size)

    def _batches(self, rows: int) -> Iterator[pa.RecordBatch]:
        with read_errors(self.name, "ORC"):
            self._file.seek(0)
            fragment = ds.OrcFileFormat().make_fragment(pa.PythonFile(self._file, "r"))
            batches: Any = fragment.scanner(
                batch_size=rows, use_threads=False, batch_readahead=0, fragment_readahead=0
            ).to_batches()
        while True:
            with read_errors(self.name, "ORC"):
                batch = next(batches, None)
            if batch is None:
                return
            yield batch

    def same_format(self, output: Output) -> OrcWriter:
        codec = self.codec if self.codec in WRITABLE_CODECS else "ZSTD"
        notes = ["the metadata of the file are not kept: pyarrow cannot write them"]
        return OrcWriter(output, self.schema, codec, notes if self._has_metadata else ())

    def close(self) -> None:
        self._file.close()


class OrcWriter(BatchEncoder):
    """Writes the windows' own columns, or `columns` of another format, with the new ones."""

    def __init__(
        self,
        output: Output,
        schema: pa.Schema,
        codec: str,
        notes: Sequence[str] = (),
        columns: Sequence[str] | None = None,
    ) -> None:
        super().__init__(pa.schema([*schema, *output.added]), columns)
        self.notes = notes
        trial = orc.ORCWriter(io.BytesIO())  # says at once which types ORC lacks
        trial.write(self._schema.empty_table())
        trial.close()
        self._writer = orc.ORCWriter(output.stream, compression=codec.lower())
        self._is_empty = True

    def write(self, encoded: pa.RecordBatch) -> None:
        self._writer.write(pa.Table.from_batches([encoded]))
        self._is_empty = False

    def close(self) -> None:
        if self._is_empty:  # else there would be no schema
            self._writer.write(self._schema.empty_table())
        self._writer.close()

    def abandon(self) -> None:
        # pyarrow's writer would write its footer when it is collected, to a stream that is gone.
        self._writer.is_open = False


def orc_converter(output: Output, schema: pa.Schema) -> OrcWriter:
    """A writer of rows of another format."""
    return OrcWriter(output, decoded(schema), "ZSTD", columns=schema.names)
