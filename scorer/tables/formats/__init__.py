"""The table formats: one object for each, all of them in FORMATS.

A new format is a module beside these with a `Format` in it, and its entry in the tuple.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from scorer.errors import InputError, UsageError
from scorer.tables.compression import COMPRESSIONS, Compression, compression_of_suffix
from scorer.tables.formats.arrow import ARROW, ARROW_STREAM
from scorer.tables.formats.base import Format
from scorer.tables.formats.delimited import CSV, TSV
from scorer.tables.formats.excel import EXCEL
from scorer.tables.formats.json import JSON_ARRAY, JSONL
from scorer.tables.formats.orc import ORC
from scorer.tables.formats.parquet import PARQUET

#: from the one that any text may be to those that cannot be mistaken
FORMATS: tuple[Format, ...] = (
    CSV,
    TSV,
    JSONL,
    JSON_ARRAY,
    PARQUET,
    ARROW,
    ARROW_STREAM,
    ORC,
    EXCEL,
)


@dataclass(frozen=True)
class TableFormat:
    """What a file is: its format, and its compression if it has one."""

    format: Format
    compression: Compression | None = None


@dataclass(frozen=True)
class NameParts:
    """A file's name taken apart.

    stem         what precedes the suffixes that are known
    suffixes     those, as they are written
    formats      which the name may state: one, or several that its content tells apart
    compression  which it states
    unknown      the last suffix where that is neither a format's nor a compression's
    """

    stem: str
    suffixes: str
    formats: tuple[Format, ...]
    compression: Compression | None
    unknown: str


def name_parts(name: str) -> NameParts:
    """Take a path or a URL apart."""
    path = PurePosixPath(name.partition("?")[0] if "://" in name else name)
    tail = ""
    compression = compression_of_suffix(path.suffix)
    if compression is not None:
        tail, path = path.suffix, path.with_suffix("")
    formats = tuple(each for each in FORMATS if path.suffix.lower() in each.suffixes)
    unknown = path.suffix
    if formats:
        tail, path, unknown = path.suffix + tail, path.with_suffix(""), ""
    return NameParts(path.name, tail, formats, compression, unknown)


def format_of_name(name: str) -> TableFormat | None:
    """What a file's name states it is, None if it states no format."""
    parts = name_parts(name)
    return TableFormat(parts.formats[0], parts.compression) if parts.formats else None


def split_suffixes(name: str) -> tuple[str, str]:
    """('reviews', '.csv.gz') of 'reviews.csv.gz': what precedes the format's suffixes, and them."""
    parts = name_parts(name)
    return parts.stem, parts.suffixes


def writable_name(name: str) -> str:
    """An input's name as its output can have it: without what is only read.

    A compression that is only read goes; the suffix of a format that is becomes that of the
    format that it is written as.
    """
    parts = name_parts(name)
    if parts.compression is not None and parts.compression.compress is None:
        return writable_name(name[: name.rindex(".")])
    written = parts.formats[0].written_as if parts.formats else None
    if written is None:
        return name
    compressed = parts.suffixes[parts.suffixes.index(".", 1) :] if parts.compression else ""
    return name.removesuffix(parts.suffixes) + written.suffixes[0] + compressed


def check_output_name(name: str, source: str) -> None:
    """Raise UsageError where an output's name states what is not written.

    A suffix that says nothing is right where the input, `source`, has it too.
    """
    parts = name_parts(name)
    if parts.compression is not None and parts.compression.compress is None:
        suffix = parts.compression.suffixes[0]
        raise UsageError(
            f"{name}: {parts.compression} is read but not written: leave {suffix} out, or use "
            f"{_listed([s.suffixes[0] for s in COMPRESSIONS if s.compress is not None], 'or')}"
        )
    written = [each for each in FORMATS if each.written_as is None]
    only_read = next((each.suffixes[0] for each in parts.formats if each not in written), "")
    refused = only_read or parts.unknown
    if refused and refused != name_parts(source).unknown:
        suffixes = [suffix for each in written for suffix in each.suffixes]
        raise UsageError(
            f"{name}: {refused} files cannot be written: use the suffix "
            f"{_listed(list(dict.fromkeys(suffixes)), 'or')}, or no suffix"
        )


def output_format(name: str, input_format: TableFormat) -> TableFormat:
    """What to write to an output of this name, where its input was `input_format`.

    A name that states no format takes the input's, and its compression. Where the input's is only
    read, that is the format that it is written as.
    """
    parts = name_parts(name)
    own = input_format.format.written_as or input_format.format
    if parts.formats:
        return TableFormat(own if own in parts.formats else parts.formats[0], parts.compression)
    kept = (
        input_format.compression
        if input_format.compression and input_format.compression.compress
        else None
    )
    return TableFormat(own, parts.compression or kept)


def sniff(head: bytes, text: bytes | None = None) -> Format:
    """The format of an uncompressed stream without a telling name, from its first bytes.

    `text` is those bytes in UTF-8 where their encoding has not ASCII's bytes.
    """
    return next((each for each in reversed(FORMATS) if _is(each, head, text)), CSV)


def _is(format: Format, head: bytes, text: bytes | None) -> bool:
    return format.sniff(text if text is not None and format.is_text else head)


def format_of_content(
    name: str, names: Sequence[str], head: bytes, text: bytes | None = None
) -> Format:
    """The format of a file that begins with `head`: the one that the first telling name states.

    Several formats may have one suffix; then the content says which. `text` is as in `sniff`.
    Raises InputError where the content is of another format than the name says.
    """
    stated = next((parts.formats for parts in map(name_parts, names) if parts.formats), ())
    if not stated:
        return sniff(head, text)
    expected = next((each for each in stated if _is(each, head, text)), stated[0])
    sniffed = next((each for each in FORMATS if each.magic and each.sniff(head)), None)
    if sniffed is expected or (sniffed is None and expected.is_text):
        return expected
    if sniffed is not None:
        raise InputError(
            f"{name}: not a file in the format {expected.label} but {sniffed.label}; "
            f"correct the extension to {sniffed.suffixes[0]}"
        )
    if not head:
        raise InputError(f"{name}: is empty, which no {expected.label} file is")
    raise InputError(
        f"{name}: not a file in the format {expected.label}: it begins with {head[:8]!r}; "
        "correct the extension"
    )


def _listed(names: Sequence[str], word: str) -> str:
    *most, last = names
    return f"{', '.join(most)} {word} {last}"


def format_names(word: str) -> str:
    """All formats in a sentence: 'CSV, TSV, JSON Lines or Parquet'."""
    return _listed(list(dict.fromkeys(each.label for each in FORMATS)), word)
