"""The compressions that a table may be stored in: one object for each, all of them in one tuple."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, BinaryIO, cast


@dataclass(frozen=True)
class Compression:
    """One compression: how its files are named, how they begin, how to undo it and to apply it.

    suffixes    the usual one first
    magic       how every file of it begins
    decompress  from a stream of compressed bytes to one of the bytes within
    compress    a stream that compresses what it is given into another; closing it ends the
                compressed data and leaves the other open. None: only read, never written
    """

    name: str
    suffixes: tuple[str, ...]
    magic: bytes
    decompress: Callable[[BinaryIO], BinaryIO]
    compress: Callable[[BinaryIO], BinaryIO] | None

    def __str__(self) -> str:
        return self.name


def _from_gzip(stream: BinaryIO) -> BinaryIO:
    import gzip

    return cast(BinaryIO, gzip.GzipFile(fileobj=stream, mode="rb"))


def _to_gzip(stream: BinaryIO) -> BinaryIO:
    import gzip

    zipped = gzip.GzipFile(filename="", fileobj=stream, mode="wb", compresslevel=6, mtime=0)
    return cast(BinaryIO, zipped)


def _from_zstd(stream: BinaryIO) -> BinaryIO:
    import pyarrow as pa

    return cast(BinaryIO, pa.CompressedInputStream(pa.PythonFile(stream, "r"), "zstd"))


def _to_zstd(stream: BinaryIO) -> BinaryIO:
    import pyarrow as pa

    kept = pa.PythonFile(KeepOpen(stream), "w")
    return cast(BinaryIO, pa.CompressedOutputStream(kept, "zstd"))


class KeepOpen(io.RawIOBase):
    """Passes writes on; closing it leaves the stream below open, for its owner to sync."""

    def __init__(self, inner: BinaryIO) -> None:
        self._inner = inner

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        return self._inner.write(data)


GZIP = Compression("gzip", (".gz",), b"\x1f\x8b", _from_gzip, _to_gzip)
ZSTD = Compression("zstd", (".zst", ".zstd"), b"\x28\xb5\x2f\xfd", _from_zstd, _to_zstd)

COMPRESSIONS = (GZIP, ZSTD)


def compression_of_suffix(suffix: str) -> Compression | None:
    """The compression that a name's last suffix states, None if it states none."""
    return next((each for each in COMPRESSIONS if suffix.lower() in each.suffixes), None)


def compression_of(head: bytes) -> Compression | None:
    """How a stream that begins with `head` is compressed, None if it is not."""
    return next((each for each in COMPRESSIONS if head.startswith(each.magic)), None)
