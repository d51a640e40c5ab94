"""Parquet, written with the input's schema, metadata, logical types and codecs kept."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import BinaryIO, Protocol

import pyarrow as pa
import pyarrow.parquet as pq

from scorer.errors import ColumnError
from scorer.tables.arrays import Categories, is_hollow
from scorer.tables.parquet.footer import WithoutFooter
from scorer.tables.window import Window

# A row group of the output ends at whichever comes first. It is compressed while the next one comes
# in; the run waits for the last one, so groups are small. But a column of a group takes room in the
# footer, so those of wide tables are larger.
GROUP_BYTES = 8 << 20
COLUMN_BYTES = 64 << 10
MAX_GROUP_BYTES = 32 << 20
GROUP_ROWS = 1 << 17
# What pyarrow's writer calls the codecs that it has.
WRITABLE = {
    "UNCOMPRESSED": "none",
    "SNAPPY": "snappy",
    "GZIP": "gzip",
    "BROTLI": "brotli",
    "ZSTD": "zstd",
    "LZ4": "lz4",
    "LZ4_RAW": "lz4",
}
# pyarrow has no name for the first framing of LZ4, which it reads.
OLD_CODECS = {"UNKNOWN": "the deprecated LZ4 codec"}


class Original(Protocol):
    """The open Parquet file that columns come from."""

    def codecs(self) -> dict[str, str]:
        """The compression codec of every column, by its path."""
        ...

    def footer(self) -> bytes:
        """The footer as it lies in the file."""
        ...


def check_columns(name: str, schema: pa.Schema) -> None:
    """Raise ColumnError for a column that Parquet cannot hold; `name` is the input's."""
    for field in schema:
        if is_hollow(field.type):
            raise ColumnError(
                f"{name}: column {field.name!r} holds a struct without fields, which Parquet has "
                "no place for: drop the column"
            )


class ParquetWriter:
    """Writes the windows' own columns with the new ones at their right.

    A thread of its own encodes and compresses row groups, one at a time: no more than one waits.
    `notes` says, once it is closed, what of the input's columns could not be kept.
    """

    columns: Sequence[str] = ()
    notes: Sequence[str] = ()

    def __init__(
        self,
        stream: BinaryIO,
        schema: pa.Schema,
        added: pa.Schema,
        metadata: Mapping[str, str],
        like: Original | None = None,
    ) -> None:
        """`like` is the Parquet file that the columns come from, if they do."""
        kept = dict(schema.metadata or {})
        ours = {key.encode(): value.encode() for key, value in metadata.items()}
        for field in added:
            schema = schema.append(field)
        self._schema = schema.with_metadata(kept | ours)
        self._like = like
        self._stream = WithoutFooter(stream)
        codecs, self._codec_notes = _codecs(like.codecs() if like else {}, added)
        self._writer = pq.ParquetWriter(self._stream, self._schema, compression=codecs)
        self._categories = Categories(self._schema, apart=True)
        self._held: list[pa.RecordBatch] = []
        self._rows = self._bytes = 0
        wide = min(COLUMN_BYTES * len(self._schema), MAX_GROUP_BYTES)
        self._group_bytes = max(GROUP_BYTES, wide)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="scorer-parquet")
        self._written: Future[None] | None = None

    def encode(self, window: Window, added: pa.RecordBatch) -> pa.RecordBatch:
        """The window's columns and the new ones as one batch; called from any thread."""
        columns = [*window.table.columns, *added.columns]
        return pa.RecordBatch.from_arrays(columns, schema=self._schema)

    def write(self, encoded: pa.RecordBatch) -> None:
        """Take a window. Raises what the row group before it met."""
        # Else the row group could not be read back.
        if not self._categories.take(encoded):
            self._flush()
            self._categories.take(encoded)
        self._held.append(encoded)
        self._rows += encoded.num_rows
        self._bytes += encoded.nbytes
        if self._rows >= GROUP_ROWS or self._bytes >= self._group_bytes:
            self._flush()

    def _flush(self) -> None:
        self._settle()
        table = pa.Table.from_batches(self._held, self._schema)
        self._held, self._rows, self._bytes = [], 0, 0
        self._categories.clear()
        self._written = self._thread.submit(
            self._writer.write_table, table, row_group_size=GROUP_ROWS
        )

    def _settle(self) -> None:
        """Wait for the row group that is being written."""
        if self._written is not None:
            self._written.result()

    def close(self) -> None:
        if self._held:
            self._flush()
        self._settle()
        self._thread.shutdown()
        self._stream.hold()
        self._writer.close()
        lost = self._stream.close(self._like.footer() if self._like else None)
        self.notes = (*self._codec_notes, *lost)

    def abandon(self) -> None:
        self._thread.shutdown(cancel_futures=True)
        # pyarrow's writer would write its footer when it is collected, to a stream that is gone.
        self._writer.is_open = False


def _codecs(codecs: Mapping[str, str], added: pa.Schema) -> tuple[dict[str, str] | str, list[str]]:
    """What pyarrow's writer takes for `codecs`, and a sentence for each that it cannot write."""
    if not codecs:
        return "snappy", []
    counts = Counter(codecs.values())
    notes = [
        f"columns compressed with {OLD_CODECS.get(codec, codec)}: {count:,}; written with LZ4_RAW"
        for codec, count in counts.items()
        if codec not in WRITABLE
    ]
    if len(counts) == 1:
        return WRITABLE.get(next(iter(counts)), "lz4"), notes
    new = [path for field in added for path in _leaf_paths(field)]
    named = {**codecs, **dict.fromkeys(new, max(counts, key=counts.__getitem__))}
    return {path: WRITABLE.get(codec, "lz4") for path, codec in named.items()}, notes


def _leaf_paths(field: pa.Field) -> list[str]:
    """The paths of a new column's values in the file: one, with its levels where it is a list."""
    return [f"{field.name}.list.element" if pa.types.is_list(field.type) else field.name]
