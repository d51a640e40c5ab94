"""CSV that is safe to open in a spreadsheet: no cell of it is taken for a formula.

A cell that begins with one of = + - @, a tab or a carriage return, and is not a number, gets an
apostrophe before it (OWASP, "CSV injection"). That changes data, so it is done only where asked
for; records without such a cell keep their bytes.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any, BinaryIO

import pyarrow as pa

from scorer.tables.text.dialect import Dialect
from scorer.tables.window import Window

BOM = "\ufeff"
_NO_LIMIT = (1 << 31) - 1
_FORMULA = re.compile(r"[=+\-@\t\r＝＋－＠]")
_NUMBER = re.compile(r"[-+]?[0-9][0-9.,]*([eE][-+]?[0-9]+)?%?")


def safe_cell(cell: str) -> str:
    """`cell` as a spreadsheet shows it: as text."""
    if _FORMULA.match(cell) and not _NUMBER.fullmatch(cell):
        return f"'{cell}"
    return cell


class FormulaGuard:
    """A writer of CSV around the one that `make` gives for a stream, its header guarded too."""

    notes: Sequence[str] = ()

    def __init__(self, make: Callable[[BinaryIO], Any], stream: BinaryIO) -> None:
        csv.field_size_limit(_NO_LIMIT)  # the readers have their own
        self._stream = stream
        header = io.BytesIO()
        self._inner = make(header)
        self._dialect: Dialect = self._inner.dialect
        self._encoding: str = self._inner.encoding
        self.columns = self._inner.columns
        stream.write(self._guarded(header.getvalue()))

    def encode(self, window: Window, added: pa.RecordBatch) -> bytes:
        """The window's lines, guarded; called from any thread."""
        return self._guarded(bytes(self._inner.encode(window, added)))

    def write(self, encoded: bytes) -> None:
        self._stream.write(encoded)

    def close(self) -> None:
        """Nothing is held back: every write went to the stream."""

    abandon = close

    def _guarded(self, data: bytes) -> bytes:
        text = data.decode(self._encoding)
        bom = BOM if text.startswith(BOM) else ""
        records = self._records(text.removeprefix(bom))
        return (bom + "".join(records)).encode(self._encoding)

    def _records(self, text: str) -> Iterator[str]:
        """Each record as it is, or its cells written anew where one is a formula."""
        lines = _Lines(text)
        for cells in self._dialect.parser(lines, strict=False):
            raw = lines.take()
            safe = [safe_cell(cell) for cell in cells]
            if safe != cells:
                end = raw[len(self._dialect.body(raw)) :]
                raw = self._dialect.record(safe) + end
            yield raw


class _Lines:
    """The lines of a text for csv.reader; `take` gives those of the record just read."""

    def __init__(self, text: str) -> None:
        self._lines = io.StringIO(text, newline="")
        self._taken: list[str] = []

    def __iter__(self) -> _Lines:
        return self

    def __next__(self) -> str:
        line = next(self._lines)
        self._taken.append(line)
        return line

    def take(self) -> str:
        record = "".join(self._taken)
        self._taken = []
        return record
