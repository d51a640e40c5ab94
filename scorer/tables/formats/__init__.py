"""The table formats: one object for each, all of them in FORMATS.

A new format is a module beside these with a `Format` in it, and its entry in the tuple.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePosixPath

from scorer.errors import InputError
from scorer.tables.compression import Compression, compression_of_suffix
from scorer.tables.formats.base import Format
from scorer.tables.formats.delimited import CSV, TSV
from scorer.tables.formats.jsonl import JSONL
from scorer.tables.formats.parquet import PARQUET

#: from the one that any text may be to those that cannot be mistaken
FORMATS: tuple[Format, ...] = (CSV, TSV, JSONL, PARQUET)


@dataclass(frozen=True)
class TableFormat:
    """What a file is: its format, and its compression if it has one."""

    format: Format
    compression: Compression | None = None


def format_of_suffix(suffix: str) -> Format | None:
    """The format that a name's suffix states, None if it states none."""
    return next((each for each in FORMATS if suffix.lower() in each.suffixes), None)


def format_of_name(name: str) -> TableFormat | None:
    """What a file's name states it is, None if it states no format."""
    path = PurePosixPath(name.partition("?")[0] if "://" in name else name)
    compression = compression_of_suffix(path.suffix)
    if compression is not None:
        path = path.with_suffix("")
    found = format_of_suffix(path.suffix)
    return TableFormat(found, compression) if found is not None else None


def split_suffixes(name: str) -> tuple[str, str]:
    """('reviews', '.csv.gz') of 'reviews.csv.gz': what precedes the format's suffixes, and them."""
    path = PurePosixPath(name)
    tail = ""
    if compression_of_suffix(path.suffix) is not None:
        tail, path = path.suffix, path.with_suffix("")
    if format_of_suffix(path.suffix) is not None:
        tail, path = path.suffix + tail, path.with_suffix("")
    return path.name, tail


def sniff(head: bytes) -> Format:
    """The format of an uncompressed stream without a telling name, from its first bytes."""
    return next((each for each in reversed(FORMATS) if each.sniff(head)), CSV)


def check_content(name: str, expected: Format, head: bytes) -> None:
    """Raise InputError where a file's first bytes are not those of its name's format."""
    found = next((each for each in FORMATS if each.magic and each.sniff(head)), None)
    if found is expected or (found is None and expected.is_text):
        return
    if found is not None:
        what = f"a {found.label} file"
    else:
        what = f"no {expected.label} file: it begins with {head[:8]!r}"
    raise InputError(f"{name}: is {what}; give it the name of what it is")


def format_names(word: str) -> str:
    """All formats in a sentence: 'CSV, TSV, JSON Lines or Parquet'."""
    *most, last = (each.label for each in FORMATS)
    return f"{', '.join(most)} {word} {last}"
