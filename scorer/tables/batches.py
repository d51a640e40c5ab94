"""Record batches as they are stored, cut and put together to windows."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

import pyarrow as pa

from scorer.errors import InputError
from scorer.tables.arrays import Categories, as_text
from scorer.tables.window import RECORD_BYTES, WINDOW_BYTES, Window, WindowSize, halved

BINARY_OF = {pa.string(): pa.binary(), pa.large_string(): pa.large_binary()}


@contextmanager
def read_errors(name: str, label: str) -> Iterator[None]:
    """Turn what content that is not of the format `label` raises into InputErrors."""
    try:
        yield
    except (pa.ArrowException, OSError, ValueError, struct.error, IndexError) as error:
        raise InputError(f"{name}: cannot be read as {label}: {first_line(error)}") from error


def first_line(error: BaseException) -> str:
    """An error's first line; its type where it says nothing."""
    return str(error).splitlines()[0] if str(error) else type(error).__name__


def windows_of(
    name: str, schema: pa.Schema, batches: Iterable[pa.RecordBatch], text: str, size: WindowSize
) -> Iterator[Window]:
    """Windows of all columns, whose cuts depend on the batches alone.

    Raises InputError for a row that is too long, and for batches that contradict themselves.
    """
    pieces = _pieces(name, batches, size.rows)
    for index, batch in enumerate(gathered(pieces, size, schema)):
        place = batch.schema.get_field_index(text)
        yield Window(index, as_text(batch.column(place)), batch)


def _pieces(
    name: str, batches: Iterable[pa.RecordBatch], rows: int
) -> Iterator[tuple[pa.RecordBatch, int]]:
    """The batches in runs of `rows` rows, or fewer where these are long, and their bytes."""
    first = 1
    for batch in batches:
        _validate(name, batch)
        for start in range(0, batch.num_rows, rows):
            for piece, size in halved(batch.slice(start, rows), WINDOW_BYTES):
                if size > RECORD_BYTES:
                    raise InputError(
                        f"{name}: row {first} takes {size >> 20:,} MiB: a row may take "
                        f"{RECORD_BYTES >> 20}"
                    )
                yield piece, size
                first += piece.num_rows


def _validate(name: str, batch: pa.RecordBatch) -> None:
    """Raise InputError where offsets and lengths lead outside; text may be any bytes."""
    try:
        for column in batch.columns:
            binary = BINARY_OF.get(column.type)
            (column if binary is None else column.view(binary)).validate(full=True)
    except pa.ArrowException as error:
        raise InputError(f"{name}: is damaged: {' '.join(str(error).split())}") from error


def gathered(
    pieces: Iterable[tuple[pa.RecordBatch, int]], size: WindowSize, schema: pa.Schema
) -> Iterator[pa.RecordBatch]:
    """Pieces, given with their bytes, put together to batches of the size of windows.

    A batch ends early where the codes of a dictionary could not tell its categories apart.
    """
    held: list[pa.RecordBatch] = []
    categories = Categories(schema)
    rows = taken = 0
    for piece, piece_bytes in pieces:
        over = rows + piece.num_rows > size.most or taken + piece_bytes > WINDOW_BYTES
        if held and (over or not categories.take(piece)):
            yield _joined(held)
            held, rows, taken = [], 0, 0
        if not held:
            categories.clear()
            categories.take(piece)
        held.append(piece)
        rows, taken = rows + piece.num_rows, taken + piece_bytes
        if size.enough(rows, taken):
            yield _joined(held)
            held, rows, taken = [], 0, 0
    if held:
        yield _joined(held)


def _joined(pieces: list[pa.RecordBatch]) -> pa.RecordBatch:
    return pieces[0] if len(pieces) == 1 else pa.concat_batches(pieces)


def decoded(schema: pa.Schema) -> pa.Schema:
    """The schema with the values of dictionaries in place of these."""
    fields = [
        field.with_type(field.type.value_type) if pa.types.is_dictionary(field.type) else field
        for field in schema
    ]
    return pa.schema(fields, metadata=schema.metadata)


def decode(batch: pa.RecordBatch) -> pa.RecordBatch:
    """A batch with the schema that `decoded` gives for its own."""
    columns = [
        column.dictionary_decode() if pa.types.is_dictionary(column.type) else column
        for column in batch.columns
    ]
    return pa.RecordBatch.from_arrays(columns, schema=decoded(batch.schema))


class BatchEncoder:
    """Lays a window's columns and the new ones at their right out as one batch.

    columns   of a table that came in another format: these, in this order, dictionaries (which may
              change from window to window) as values; None: the window's own, as they are
    """

    def __init__(self, schema: pa.Schema, columns: Sequence[str] | None = None) -> None:
        self._schema = schema
        self._converts = columns is not None
        self.columns: Sequence[str] = columns or ()

    def encode(self, window: Window, added: pa.RecordBatch) -> pa.RecordBatch:
        """The batch to write; called from any thread."""
        table = decode(window.table.select(list(self.columns))) if self._converts else window.table
        return pa.RecordBatch.from_arrays([*table.columns, *added.columns], schema=self._schema)
