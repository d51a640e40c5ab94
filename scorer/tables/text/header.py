"""The beginning of a CSV or TSV file: what its columns are called, and which dialect it is in."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from scorer.errors import ColumnError, InputError
from scorer.tables.text.dialect import Dialect
from scorer.tables.text.lines import LONE_CR, RecordLines, RecordTooLong
from scorer.tables.text.options import ReadOptions

MAX_COLUMNS = 1 << 18
MAX_BLANK_BYTES = 1_000_000
UTF16_BOMS = (b"\xff\xfe", b"\xfe\xff")
DELIMITERS = ",;\t|"
# A line that Excel reads and some programs write for it: which delimiter the file has.
SEP_LINE = re.compile(rb'(?:\xef\xbb\xbf)?("?)sep=([,;|:~^ \t])\1(?:\r\n?|\n|\Z)', re.I)


@dataclass(frozen=True)
class Header:
    """The names of the columns, and what was read for them.

    `raw` is empty where the file has no record of names. `preamble` are the bytes before it.
    """

    names: list[str]
    dialect: Dialect
    preamble: bytes = b""
    raw: bytes = b""


def read_header(
    name: str, label: str, lines: RecordLines, dialect: Dialect, options: ReadOptions
) -> Header:
    """Read up to the first row; messages call the file `name` and its format `label`.

    A file that holds nothing, or only blank lines, has no columns but those that were given. Raises
    InputError where the first record cannot be read, ColumnError where it has another delimiter, or
    not as many fields as `options.columns`.
    """
    dialect, preamble = _sep_line(lines, options, dialect)
    first, blank = _first_record(name, lines, dialect)
    preamble += blank
    fields = _lenient(name, lines, dialect, options.columns) if first is None else first
    if fields is not None and len(fields) > MAX_COLUMNS:
        raise InputError(f"{name}: has more than {MAX_COLUMNS:,} columns")
    if options.columns:
        _check_width(name, first, options.columns)
    elif fields is None or (options.header and not _are_names(fields, lines)):
        encoding, raw = lines.encoding, b"".join(lines.raw)
        raise InputError(
            f"{name}: not a {label} file in {encoding}: its first line cannot be read as "
            f"column names{_looks_like(raw, encoding)}"
        )
    if options.header:
        return Header(fields or [], dialect, preamble, b"".join(lines.raw))
    lines.give_back()
    numbered = [f"column_{i}" for i in range(1, len(fields or []) + 1)]
    return Header(list(options.columns) or numbered, dialect, preamble)


def _sep_line(lines: RecordLines, options: ReadOptions, dialect: Dialect) -> tuple[Dialect, bytes]:
    """The dialect with the delimiter that a first line `sep=;` states, and that line.

    What the options say of the delimiter goes before what the file says.
    """
    line = SEP_LINE.match(lines.first_line())
    if not line or line[2].decode() == options.escape:
        lines.give_back()
        return dialect, b""
    lines.skip(line.end())
    if options.delimiter is None:
        dialect = replace(dialect, delimiter=line[2].decode())
    return dialect, line[0]


def _first_record(
    name: str, lines: RecordLines, dialect: Dialect
) -> tuple[list[str] | None, bytes]:
    """The first record's fields, None where it cannot be read, and the blank lines before it."""
    parser, blank = dialect.parser(lines), bytearray()
    while True:
        try:
            fields = next(parser)
        except StopIteration:
            return [], bytes(blank)
        except (csv.Error, RecordTooLong):
            if lines.at_any_end or not any(map(LONE_CR.search, lines.raw)):
                return None, bytes(blank)
            lines.end_at_any()
            continue
        if fields:
            return fields, bytes(blank)
        blank += b"".join(lines.raw)
        if len(blank) > MAX_BLANK_BYTES:
            raise InputError(
                f"{name}: begins with more than {MAX_BLANK_BYTES:,} bytes of empty lines"
            )
        lines.begin()


def _lenient(
    name: str, lines: RecordLines, dialect: Dialect, columns: Sequence[str]
) -> list[str] | None:
    """The fields of the first line, whose quotes are broken, as most programs read them.

    None where there are none. Raises ColumnError where they are good ones of another delimiter.
    """
    lines.give_back()
    try:
        line = next(lines)
    except RecordTooLong:
        return None
    _refuse_other_delimiter(name, line, dialect, len(columns))
    return _alone(line, dialect, strict=False) or None


def _are_names(fields: Sequence[str], lines: RecordLines) -> bool:
    return not (lines.broken or any("\0" in field for field in fields))


def _check_width(name: str, fields: Sequence[str] | None, columns: Sequence[str]) -> None:
    if fields and len(fields) != len(columns):
        raise ColumnError(
            f"{name}: its first row has {len(fields)} fields, --columns has {len(columns)} names"
        )


def _refuse_other_delimiter(name: str, line: str, dialect: Dialect, width: int) -> None:
    """Raise ColumnError where a line with broken quotes is a good one with another delimiter.

    It then has `width` fields, or if that is 0, several.
    """
    for mark in DELIMITERS:
        fields = _alone(line, replace(dialect, delimiter=mark), strict=True)
        if fields is not None and len(fields) > 1 and width in (0, len(fields)):
            raise ColumnError(
                f"{name}: its first line has no columns with the delimiter "
                f"{dialect.delimiter!r}, and {len(fields)} with {mark!r}: use --delimiter {mark!r}"
            )


def _alone(line: str, dialect: Dialect, *, strict: bool) -> list[str] | None:
    """The fields of a record of one line; None where it goes on or cannot be read."""
    goes_on = False

    def one() -> Iterator[str]:
        nonlocal goes_on
        yield line
        goes_on = True

    try:
        fields = next(dialect.parser(one(), strict=strict))
    except csv.Error:
        return None
    return None if goes_on else fields


def _looks_like(raw: bytes, encoding: str) -> str:
    """In which other encoding the first line would make sense, and the option for it."""
    guess = ""
    if raw.startswith(UTF16_BOMS):
        guess = "utf-16"
    elif raw[1::2].strip(b"\0") == b"" != raw[::2].strip(b"\0"):
        guess = "utf-16-le"
    elif raw[::2].strip(b"\0") == b"" != raw[1::2].strip(b"\0"):
        guess = "utf-16-be"
    elif encoding == "utf-8" and looks_like_cp1252(raw):
        guess = "cp1252"
    if not guess:
        return ""
    named = {"cp1252": "Windows-1252 or Latin-1"}.get(guess, "UTF-16")
    return f"; it looks like {named}: use --encoding {guess}"


def looks_like_cp1252(raw: bytes) -> bool:
    """Whether the bytes are words in Windows-1252, of which ASCII is most."""
    try:
        text = raw.decode("cp1252").strip()
    except UnicodeDecodeError:
        return False
    printable = all(sign.isprintable() or sign in "\t\r\n" for sign in text)
    return printable and 2 * sum(map(str.isascii, text)) > len(text) and not text.isascii()
