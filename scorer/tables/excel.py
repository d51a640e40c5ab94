"""The first sheet of an Excel workbook, every cell as text.

python-calamine holds a whole sheet in memory, blank cells included, and a few bytes of XML can ask
for any number of these. So what it is given is a copy, checked on the way: an archive of the
workbook's XML alone, of a bounded size, whose sheets have a bounded number of cells.
"""

from __future__ import annotations

import re
import tempfile
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import date, datetime, time, timedelta
from functools import cache
from itertools import islice
from pathlib import Path
from typing import IO, Any, BinaryIO

import pyarrow as pa

from scorer.errors import ColumnError, InputError, UsageError, pip_install
from scorer.tables.batches import first_line, windows_of
from scorer.tables.compression import ZIP_DEFLATED, ZIP_ERRORS, ZIP_STORED, short_zip
from scorer.tables.formats.base import Format, Output, Writer
from scorer.tables.window import RECORD_BYTES, USUAL_SIZE, Window, WindowSize

# The XML of a workbook may take no more, unpacked.
UNPACKED_BYTES = 512 << 20
# A sheet may span no more cells: all of Excel's rows with 32 columns.
MAX_CELLS = 1 << 25
CHUNK_BYTES = 1 << 20
# A float holds every whole number below.
WHOLE = 1 << 53
_XML = (".xml", ".rels")
_REMEDY = "save the sheet as CSV"
_ROW = re.compile(rb"<(?:\w+:)?row\b")
_CELL = re.compile(rb"<(?:\w+:)?c\b")
_PLACED_CELL = re.compile(rb"""<(?:\w+:)?c\b[^>]*?\sr\s*=\s*["'][A-Za-z]""")
_PLACED_ROW = re.compile(rb"""<(?:\w+:)?row\b[^>]*?\sr\s*=\s*["']\d""")
_PLACE = re.compile(rb"""\br\s*=\s*["']\s*([A-Za-z]*)(\d+)""")


class ExcelReader:
    """Reads the first sheet in windows; its first row has the names of the columns."""

    encoding = "utf-8"

    def __init__(self, name: str, file: BinaryIO | str, format: Format) -> None:
        """Raises InputError, ColumnError."""
        self.name = name
        self.format = format
        stream = Path(file).open("rb") if isinstance(file, str) else file  # noqa: SIM115
        with stream, tempfile.NamedTemporaryFile(suffix=".xlsx") as copy:
            _copy_checked(name, stream, copy)
            copy.flush()
            sheet = _first_sheet(name, copy.name)
        self._rows = _rows(name, sheet)
        header = next(self._rows, [])
        first = sheet.start[1] if header else 0
        self._names = _names(name, header, first)
        self.rows: int | None = None if header else 0
        self.schema = pa.schema([(column, pa.string()) for column in self._names])

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
        read = 0
        while chunk := list(islice(self._rows, rows)):
            columns = [pa.array(column, pa.string()) for column in zip(*chunk, strict=True)]
            yield pa.RecordBatch.from_arrays(columns, schema=self.schema)
            read += len(chunk)
        self.rows = read

    def same_format(self, output: Output) -> Writer:
        raise UsageError(f"{self.name}: Excel files are not written: write CSV")

    def close(self) -> None:
        """The file was closed when its sheet was read."""


def _first_sheet(name: str, path: str) -> Any:
    try:
        import python_calamine
    except ImportError as error:
        raise InputError(
            f"{name}: python-calamine, which reads Excel, is not installed: "
            f"{pip_install('excel')}, or {_REMEDY}"
        ) from error
    with _refusals(name), python_calamine.load_workbook(path) as workbook:
        return workbook.get_sheet_by_index(0)


def _rows(name: str, sheet: Any) -> Iterator[list[str | None]]:
    """The texts of every row that is not blank."""
    # Older versions of python-calamine panic where a sheet without a cell is to give rows.
    rows = iter(sheet.iter_rows() if sheet.start is not None else ())
    while True:
        with _refusals(name):
            row = next(rows, None)
        if row is None:
            return
        if any(cells := [_text(cell) for cell in row]):
            yield cells


@contextmanager
def _refusals(name: str) -> Iterator[None]:
    """Turn whatever calamine raises of a damaged workbook into InputErrors."""
    try:
        yield
    except BaseException as error:
        # A panic of Rust, which calamine meets in some damaged files, is not an Exception.
        if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
            raise
        raise _unreadable(name, error) from error


def _names(name: str, header: Sequence[str | None], first: int) -> list[str]:
    """The columns' names; `first` is the number of the sheet's first column, from 0."""
    names = []
    for place, cell in enumerate(header, first):
        if cell is None:
            raise ColumnError(
                f"{name}: column {_letters(place)} has no name in the sheet's first row: "
                "write one there, or delete the column"
            )
        if cell in names:
            raise ColumnError(f"{name}: two columns are named {cell!r}: rename one")
        names.append(cell)
    return names


def _letters(place: int) -> str:
    """'A' of 0, 'AA' of 26."""
    letters = ""
    place += 1
    while place:
        place, digit = divmod(place - 1, 26)
        letters = chr(ord("A") + digit) + letters
    return letters


def _text(cell: Any) -> str | None:
    """A cell as text; None where it is empty, or holds an error such as #N/A."""
    if isinstance(cell, str):
        return cell or None
    if isinstance(cell, bool):
        return "TRUE" if cell else "FALSE"
    if isinstance(cell, int | float):
        return str(int(cell)) if abs(cell) < WHOLE and cell == int(cell) else repr(cell)
    if isinstance(cell, datetime):
        return cell.isoformat(" ")
    if isinstance(cell, date | time):
        return cell.isoformat()
    if isinstance(cell, timedelta):
        return _duration(cell)
    return None if cell is None else str(cell)


def _duration(given: timedelta) -> str:
    """Hours, minutes and seconds: '26:24:00'."""
    sign = "-" if given < timedelta() else ""
    minutes, seconds = divmod(round(abs(given).total_seconds()), 60)
    return f"{sign}{minutes // 60}:{minutes % 60:02}:{seconds:02}"


def _copy_checked(name: str, stream: BinaryIO, copy: IO[bytes]) -> None:
    """Copy a workbook's XML into a new archive. Raises InputError where it takes too much.

    The sizes of members that the old one states need not be true.
    """
    left = UNPACKED_BYTES
    try:
        with short_zip(stream) as archive, zipfile.ZipFile(copy, "w") as checked:
            for member in {each.filename: each for each in archive.infolist()}.values():
                if not member.filename.lower().endswith(_XML):
                    continue  # pictures and the like
                if member.compress_type not in (ZIP_STORED, ZIP_DEFLATED):
                    raise ValueError(f"{member.filename} is compressed in an unusual way")
                extent = _Extent(name)
                with archive.open(member) as source, checked.open(member.filename, "w") as target:
                    while chunk := source.read(min(CHUNK_BYTES, left + 1)):
                        left -= len(chunk)
                        if left < 0:
                            raise InputError(
                                f"{name}: takes more than {UNPACKED_BYTES >> 20} MiB unpacked: "
                                f"{_REMEDY}"
                            )
                        extent.take(chunk)
                        target.write(chunk)
                extent.take(b"<")
    except ZIP_ERRORS as error:
        raise _unreadable(name, error) from error


def _unreadable(name: str, error: BaseException) -> InputError:
    reason = first_line(error)
    return InputError(f"{name}: cannot be read as Excel: {reason}: save it again, or {_REMEDY}")


class _Extent:
    """How many cells a sheet spans at most, from its XML in pieces.

    A row or cell says where it is, or follows the one before. Any XML may be the sheet: a workbook
    gives its parts what names it likes.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._rest = b""
        self._furthest_row = self._furthest_column = 0
        self._unplaced_rows = self._cells_of_row = self._widest = 0

    def take(self, piece: bytes) -> None:
        """Raises InputError where the cells become too many."""
        data = self._rest + piece
        end = max(data.rfind(b"<"), 0)
        data, self._rest = data[:end], data[end:]
        if len(self._rest) > RECORD_BYTES or b"\0" in piece:
            raise InputError(f"{self._name}: holds XML that Excel does not write: {_REMEDY}")
        for letters, digits in _PLACE.findall(data):
            self._furthest_row = max(self._furthest_row, int(digits[:10]))
            self._furthest_column = max(self._furthest_column, _number(letters[:4]))
        self._unplaced_rows += len(_ROW.findall(data)) - len(_PLACED_ROW.findall(data))
        if len(_CELL.findall(data)) > len(_PLACED_CELL.findall(data)):
            self._count_by_row(data)
        rows = self._furthest_row + self._unplaced_rows
        columns = self._furthest_column + self._widest
        if rows * columns > MAX_CELLS:
            raise InputError(
                f"{self._name}: its sheet spans {rows:,} rows and {columns:,} columns, more than "
                f"{MAX_CELLS:,} cells: delete the far cells, or {_REMEDY}"
            )

    def _count_by_row(self, data: bytes) -> None:
        for i, part in enumerate(_ROW.split(data)):
            before = 0 if i else self._cells_of_row
            self._cells_of_row = before + len(_CELL.findall(part))
            self._widest = max(self._widest, self._cells_of_row)


@cache
def _number(letters: bytes) -> int:
    """26 of 'Z', 27 of 'AA', 0 of nothing."""
    number = 0
    for letter in letters.upper():
        number = 26 * number + letter - ord("A") + 1
    return number
