"""Which kind of table a file is: by its name, and by its first bytes where it has no name."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import Literal

Kind = Literal["csv", "tsv", "jsonl", "parquet"]
Compression = Literal["gzip", "zstd"]

KIND_OF_SUFFIX: dict[str, Kind] = {
    ".csv": "csv",
    ".tsv": "tsv",
    ".tab": "tsv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "jsonl",
    ".parquet": "parquet",
    ".pq": "parquet",
}
COMPRESSION_OF_SUFFIX: dict[str, Compression] = {".gz": "gzip", ".zst": "zstd", ".zstd": "zstd"}
LABEL = {"csv": "CSV", "tsv": "TSV", "jsonl": "JSON Lines", "parquet": "Parquet"}

PARQUET_MAGIC = b"PAR1"
COMPRESSION_MAGIC: dict[bytes, Compression] = {b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd"}


@dataclass(frozen=True)
class TableFormat:
    kind: Kind
    compression: Compression | None = None

    @property
    def label(self) -> str:
        return LABEL[self.kind]


def format_of_name(name: str) -> TableFormat | None:
    """The format that a file's name states, None if it states none."""
    path = PurePosixPath(name.partition("?")[0] if "://" in name else name)
    compression = COMPRESSION_OF_SUFFIX.get(path.suffix.lower())
    if compression:
        path = path.with_suffix("")
    kind = KIND_OF_SUFFIX.get(path.suffix.lower())
    return TableFormat(kind, compression) if kind else None


def split_suffixes(name: str) -> tuple[str, str]:
    """('reviews', '.csv.gz') of 'reviews.csv.gz': what precedes the format's suffixes, and them."""
    path = PurePosixPath(name)
    tail = ""
    if path.suffix.lower() in COMPRESSION_OF_SUFFIX:
        tail, path = path.suffix, path.with_suffix("")
    if path.suffix.lower() in KIND_OF_SUFFIX:
        tail, path = path.suffix + tail, path.with_suffix("")
    return path.name, tail


def compression_of(head: bytes) -> Compression | None:
    """How a stream that begins with `head` is compressed."""
    for magic, compression in COMPRESSION_MAGIC.items():
        if head.startswith(magic):
            return compression
    return None


def sniff(head: bytes) -> TableFormat:
    """The format of an uncompressed stream without a name, from its first bytes."""
    if head.startswith(PARQUET_MAGIC):
        return TableFormat("parquet")
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    if text.startswith(b"{"):
        return TableFormat("jsonl")
    first_line = text.split(b"\n", 1)[0]
    return TableFormat("tsv" if b"\t" in first_line and b"," not in first_line else "csv")


def with_compression(table_format: TableFormat, compression: Compression | None) -> TableFormat:
    return replace(table_format, compression=compression)
