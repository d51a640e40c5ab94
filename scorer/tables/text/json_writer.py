"""JSON Lines as they came, the new keys put before each object's closing brace."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import BinaryIO

import pyarrow as pa
import pyarrow.compute as pc

from scorer.tables.values import each_text, is_list_of_texts
from scorer.tables.window import LOOP_BYTES, Window


class JsonLinesWriter:
    """Puts the new keys into each object's own bytes."""

    columns: Sequence[str] = ()
    notes: Sequence[str] = ()
    separator = b""  # between two objects; a line has its own end

    def __init__(self, stream: BinaryIO, encoding: str, added: pa.Schema) -> None:
        self._stream = stream
        self._encoding = encoding
        self._names = added.names

    def encode(self, window: Window, added: pa.RecordBatch) -> bytes | memoryview:
        """The window's lines with the new keys; called from any thread."""
        try:
            return self._encode(window, added, ascii_only=False)
        except UnicodeEncodeError:  # JSON can spell what the file's encoding lacks
            return self._encode(window, added, ascii_only=True)

    def _encode(
        self, window: Window, added: pa.RecordBatch, *, ascii_only: bool
    ) -> bytes | memoryview:
        assert window.raw is not None
        if not window.rows:
            return b""
        rows, cells = self._rows(window.raw), self._cells(added, ascii_only=ascii_only)
        together: bytes | memoryview
        if self._encoding == "utf-8" and rows.nbytes >= LOOP_BYTES:
            from scorer.tables.text.splicing import before_brace  # which imports Numba

            together = before_brace(rows, cells)
        else:
            pairs = zip(rows.to_pylist(), cells.to_pylist(), strict=True)
            together = b"".join([self._append(*pair) for pair in pairs])
        return together[: len(together) - len(self.separator)]

    def _cells(self, added: pa.RecordBatch, *, ascii_only: bool) -> pa.Array:
        """What each object gets, a comma before every key."""
        pieces: list[pa.Scalar | pa.Array] = []
        for name, column in zip(self._names, added.columns, strict=True):
            key = json.dumps(name, ensure_ascii=ascii_only)
            pieces += [pa.scalar(f",{key}:"), json_texts(column, ascii_only=ascii_only)]
        return pc.binary_join_element_wise(*pieces, "")

    def _rows(self, raw: pa.Array) -> pa.Array:
        """The objects as they stand in the output, each with the separator behind it."""
        return raw

    def _append(self, raw: bytes, cells: str) -> bytes:
        close = raw.rindex(b"}")
        head = raw[:close]
        if head.rstrip().endswith(b"{"):
            cells = cells[1:]
        return b"".join((head, cells.encode(self._encoding), raw[close:]))

    def write(self, encoded: bytes | memoryview) -> None:
        self._stream.write(encoded)

    def close(self) -> None:
        """Nothing is held back: every write went to the stream."""

    abandon = close


def json_texts(column: pa.Array, *, ascii_only: bool = False) -> pa.Array:
    """A column's values as JSON: numbers in their shortest form, null for null and NaN."""
    encode = json.JSONEncoder(ensure_ascii=ascii_only).encode
    if is_list_of_texts(column.type):
        return pa.array([encode(value) for value in column.to_pylist()], pa.string())
    if pa.types.is_string(column.type):
        return each_text(column, encode).fill_null("null")
    texts = column.cast(pa.string())
    without_name = pc.is_in(texts, pa.array(["nan", "inf", "-inf"]))
    return pc.if_else(without_name, None, texts).fill_null("null")
