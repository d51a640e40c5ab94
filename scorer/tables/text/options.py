"""How text files are written: what a caller says of it, checked here for every caller."""

from __future__ import annotations

import codecs
from collections.abc import Sequence
from dataclasses import dataclass

from scorer.checks import check_at_least
from scorer.errors import UsageError
from scorer.tables.text.dialect import QUOTINGS, Dialect, Quoting

TAB = r"\t"


@dataclass(frozen=True)
class ReadOptions:
    r"""How text files are written.

    delimiter  of CSV and TSV; None: a comma for CSV, a tab for TSV; `\t` is a tab
    encoding   of text files; outputs have it too, but UTF-16 and UTF-32 come out as UTF-8
    quoting    of CSV and TSV: "double": fields may be in double quotes; "none": quotes are text
    escape     of CSV and TSV: makes the next character text, usually a backslash; None: none does
    header     whether CSV and TSV begin with a line of column names
    columns    their names where the file has no such line; none given: column_1, column_2, ...
    limit      of any format: read its first rows alone; None: all rows

    Names in `columns` mean that the file has no header. Raises UsageError for what cannot be.
    """

    delimiter: str | None = None
    encoding: str = "utf-8"
    quoting: Quoting = "double"
    escape: str | None = None
    header: bool = True
    columns: Sequence[str] = ()
    limit: int | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "encoding", _encoding(self.encoding))
        if self.delimiter is not None:
            object.__setattr__(self, "delimiter", _delimiter(self.delimiter, self.encoding))
        if self.quoting not in QUOTINGS:
            choices = " or ".join(QUOTINGS)
            raise UsageError(f"--quoting {self.quoting!r}: unknown; choose {choices}")
        if self.escape is not None:
            self._check_escape(self.escape)
        check_at_least("limit", self.limit, 1)
        object.__setattr__(self, "columns", _columns(self.columns))
        if self.columns:
            object.__setattr__(self, "header", False)

    def dialect(self, usual_delimiter: str) -> Dialect:
        """How a file is written whose kind has `usual_delimiter`."""
        return Dialect(self.delimiter or usual_delimiter, self.quoting, self.escape)

    def _check_escape(self, escape: str) -> None:
        if not _is_mark(escape):
            raise UsageError(
                f"--escape {escape!r}: must be a single character, "
                "not a letter, digit, quote or newline"
            )
        _check_encodable("--escape", escape, self.encoding)
        if escape == self.delimiter:
            raise UsageError(f"--escape {escape!r}: is the delimiter too: choose another character")


def _encoding(given: str) -> str:
    """Python's own name of an encoding; a byte order mark needs none of its own."""
    try:
        name = codecs.lookup(given).name
        "\n".encode(name)
    except (LookupError, ValueError, TypeError) as error:
        raise UsageError(
            f"--encoding {given!r}: unknown encoding; examples: utf-8, latin-1, cp1252, utf-16"
        ) from error
    return "utf-8" if name == "utf-8-sig" else name


def _delimiter(given: str, encoding: str) -> str:
    mark = "\t" if given == TAB else given
    if not _is_mark(mark):
        raise UsageError(
            f"--delimiter {given!r}: must be a single character, "
            "not a letter, digit, quote or newline"
        )
    _check_encodable("--delimiter", mark, encoding)
    return mark


def _is_mark(given: str) -> bool:
    """Whether a character can stand between or before others without being taken for data."""
    single = isinstance(given, str) and len(given) == 1
    return single and not given.isalnum() and given not in '"\r\n\0'


def _check_encodable(option: str, mark: str, encoding: str) -> None:
    try:
        mark.encode(encoding)
    except UnicodeEncodeError as error:
        raise UsageError(f"{option} {mark!r}: {encoding} does not have this character") from error


def _columns(given: Sequence[str]) -> tuple[str, ...]:
    names = (given,) if isinstance(given, str) else tuple(given)
    for name in names:
        if not isinstance(name, str) or not name:
            raise UsageError(f"--columns: {name!r} is not a name")
        if names.count(name) > 1:
            raise UsageError(f"--columns: {name!r} is there twice: give each column its own name")
    return names
