"""JSON Lines as they came, the new keys put before each object's closing brace."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from itertools import chain, repeat
from typing import BinaryIO

import pyarrow as pa

from scorer.tables.values import each_in_utf8, is_list_of_texts
from scorer.tables.window import Window


class JsonLinesWriter:
    """Puts the new keys into each object's own bytes."""

    columns: Sequence[str] = ()
    notes: Sequence[str] = ()
    separator = b""  # between two objects; a line has its own end

    def __init__(self, stream: BinaryIO, encoding: str, added: pa.Schema) -> None:
        self._stream = stream
        self._encoding = encoding
        self._names = added.names

    def encode(self, window: Window, added: pa.RecordBatch) -> bytes:
        """The window's lines with the new keys; called from any thread."""
        try:
            return self._encode(window, added, ascii_only=False)
        except UnicodeEncodeError:  # JSON can spell what the file's encoding lacks
            return self._encode(window, added, ascii_only=True)

    def _encode(self, window: Window, added: pa.RecordBatch, *, ascii_only: bool) -> bytes:
        assert window.raw is not None
        keys = [json.dumps(name, ensure_ascii=ascii_only) for name in self._names]
        columns = [json_values(column, ascii_only=ascii_only) for column in added.columns]
        if self._encoding == "utf-8":
            return self._joined(window.raw, keys, columns)
        tails = (
            ",".join([f"{key}:{value}" for key, value in zip(keys, values, strict=True)])
            for values in zip(*columns, strict=True)
        )
        rows = zip(window.raw, tails, strict=True)
        return self.separator.join([self._append(raw, tail) for raw, tail in rows])

    def _joined(
        self, raw: Sequence[bytes], keys: Sequence[str], columns: Sequence[Sequence[str]]
    ) -> bytes:
        """What `_append` gives of each row, put together at once."""
        raw = [self._bare(each) for each in raw]
        closes = [each.rindex(b"}") for each in raw]
        heads = [each[:close] for each, close in zip(raw, closes, strict=True)]
        pieces: list[Iterable[bytes]] = [heads, map(_comma, heads)]
        for number, (key, column) in enumerate(zip(keys, columns, strict=True)):
            pieces.append(repeat(f"{',' if number else ''}{key}:".encode()))
            pieces.append(each_in_utf8(column))
        pieces.append(each[close:] for each, close in zip(raw, closes, strict=True))
        pieces.append(repeat(self.separator))
        together = b"".join(chain.from_iterable(zip(*pieces, strict=False)))
        return together[: len(together) - len(self.separator)]

    def _bare(self, raw: bytes) -> bytes:
        """The bytes of an object as they stand in the output."""
        return raw

    def _append(self, raw: bytes, tail: str) -> bytes:
        raw = self._bare(raw)
        close = raw.rindex(b"}")
        head = raw[:close]
        return b"".join((head, _comma(head), tail.encode(self._encoding), raw[close:]))

    def write(self, encoded: bytes) -> None:
        self._stream.write(encoded)

    def close(self) -> None:
        """Nothing is held back: every write went to the stream."""

    abandon = close


def _comma(head: bytes) -> bytes:
    """What comes between an object without its closing brace and a further key."""
    # Only where the object may be empty is it looked at as a whole.
    may_be = head[-1:] in b"{ \t\r\n"
    return b"" if may_be and head.rstrip().endswith(b"{") else b","


def json_values(column: pa.Array, *, ascii_only: bool = False) -> list[str]:
    """A column's values as JSON: numbers in their shortest form, null for null and NaN."""
    encode = json.JSONEncoder(ensure_ascii=ascii_only).encode
    if pa.types.is_string(column.type):
        values = column.to_pylist()
        written = {value: encode(value) for value in set(values)}
        return [written[value] for value in values]
    if is_list_of_texts(column.type):
        return [encode(value) for value in column.to_pylist()]
    texts = column.cast(pa.string()).to_pylist()
    return ["null" if text in (None, "nan", "inf", "-inf") else text for text in texts]
