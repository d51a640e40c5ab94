"""Files that people hand over and that are not tables: what each is, and what to do with it."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from scorer.errors import InputError

# Bytes that no text in an encoding with ASCII's bytes holds at its start.
_CONTROLS = re.compile(rb"[\x00-\x08\x0e-\x1f]")
_CONTROLS_BYTES = 256
_CONVERT = "convert it to Parquet, CSV or JSON Lines"
_UNPACK = "unpack it and score its files"


@dataclass(frozen=True)
class Foreign:
    """A kind of file that is not read: its name with an article, its first bytes, the remedy."""

    what: str
    matches: Callable[[bytes], object]
    remedy: str


def is_binary(head: bytes) -> bool:
    """Whether a file that begins with `head` holds bytes that are not text's."""
    return _CONTROLS.search(head[:_CONTROLS_BYTES]) is not None


def _begins(*magics: bytes, at: int = 0) -> Callable[[bytes], bool]:
    """Whether a file has one of these bytes at a place, and is not a text that happens to."""
    return lambda head: head.startswith(magics, at) and is_binary(head)


def _open_document(head: bytes) -> bool:
    return head.startswith(b"PK\x03\x04") and b"opendocument.spreadsheet" in head[:128]


def _markup(*starts: bytes) -> Callable[[bytes], bool]:
    return lambda head: head.removeprefix(b"\xef\xbb\xbf").lstrip().lower().startswith(starts)


_SHEET = "save the sheet as CSV"

FOREIGN = (
    Foreign("an OpenDocument spreadsheet", _open_document, _SHEET),
    Foreign(
        "an old Excel workbook (.xls) or one with a password",
        _begins(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"),
        "save it as .xlsx without a password",
    ),
    Foreign(
        "an SQLite database",
        _begins(b"SQLite format 3\0"),
        "export the table as CSV (sqlite3 -csv -header FILE 'select * from TABLE')",
    ),
    Foreign(
        "a DuckDB database",
        _begins(b"DUCK", at=8),
        "export the table as Parquet (COPY TABLE TO 'table.parquet')",
    ),
    Foreign("an Avro file", _begins(b"Obj\x01"), _CONVERT),
    Foreign("a Feather file of the old version 1", _begins(b"FEA1"), "write it again as version 2"),
    Foreign("an HDF5 file", _begins(b"\x89HDF\r\n\x1a\n"), _CONVERT),
    Foreign("a NumPy array", _begins(b"\x93NUMPY"), _CONVERT),
    Foreign("a Python pickle", re.compile(rb"\x80[\x02-\x05].*\Z", re.DOTALL).match, _CONVERT),
    Foreign("an R data file", _begins(b"RDX2\n", b"RDX3\n", b"RDA3\n"), "save the table as CSV"),
    Foreign("a Stata file", _begins(b"<stata_dta>"), _CONVERT),
    Foreign("an SPSS file", _begins(b"$FL2", b"$FL3"), _CONVERT),
    Foreign("a tar archive", _begins(b"ustar", at=257), _UNPACK),
    Foreign("a 7z archive", _begins(b"7z\xbc\xaf\x27\x1c"), _UNPACK),
    Foreign("a RAR archive", _begins(b"Rar!\x1a\x07"), _UNPACK),
    Foreign("a file compressed with LZ4", _begins(b"\x04\x22\x4d\x18"), "unpack it: lz4 -d"),
    Foreign("a file compressed with Snappy", _begins(b"\xff\x06\x00\x00sNaPpY"), _UNPACK),
    Foreign("a PDF document", re.compile(rb"%PDF-\d").match, "save its table as CSV"),
    Foreign("a web page (HTML)", _markup(b"<!doctype html", b"<html"), "download the file itself"),
    Foreign("an XML document", _markup(b"<?xml"), _CONVERT),
)


def refuse_foreign(name: str, head: bytes) -> None:
    """Raise InputError, naming what it is, where a file that begins with `head` is none of ours."""
    for kind in FOREIGN:
        if kind.matches(head):
            raise InputError(f"{name}: is {kind.what}, which scorer does not read: {kind.remedy}")
