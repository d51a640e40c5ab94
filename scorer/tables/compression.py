"""The compressions that a table may be stored in: one object for each, all of them in one tuple."""

from __future__ import annotations

import io
import re
import shutil
import struct
import tempfile
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import IO, Any, BinaryIO, cast

from scorer.errors import InputError

HEAD_BYTES = 16
CHUNK_BYTES = 1 << 16
# What undoing xz may take: enough for the largest dictionary that its presets use, twice over.
XZ_MEMORY_BYTES = 160 << 20
# A zip archive's list of members may be no longer.
ZIP_LIST_BYTES = 1 << 20
ZIP_STORED, ZIP_DEFLATED = 0, 8
# A workbook is a zip archive too. What packs one for Excel puts one of these members first.
WORKBOOK = re.compile(rb"PK\x03\x04.{26}(\[Content_Types\]\.xml|_rels/|docProps/|xl/)", re.DOTALL)


@dataclass(frozen=True)
class Unpacked:
    """The bytes that were compressed, and the name that the archive gives them if it has one."""

    stream: BinaryIO
    name: str | None = None


@dataclass(frozen=True)
class Compression:
    """One compression: how its files are named, how they begin, how to undo it and to apply it.

    suffixes    the usual one first
    magic       what the first bytes of every file match
    decompress  from the input's name and a stream of it to the bytes within. Raises InputError
    compress    a stream that compresses what it is given into another, the same bytes each time;
                closing it ends the compressed data and leaves the other open. None: read only
    """

    name: str
    suffixes: tuple[str, ...]
    magic: re.Pattern[bytes]
    decompress: Callable[[str, BinaryIO], Unpacked]
    compress: Callable[[BinaryIO], BinaryIO] | None

    def __str__(self) -> str:
        return self.name


class KeepOpen(io.RawIOBase):
    """Passes writes on; closing it leaves the stream below open, for its owner to sync."""

    def __init__(self, inner: BinaryIO) -> None:
        self._inner = inner

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        return self._inner.write(data)


def _from_gzip(name: str, stream: BinaryIO) -> Unpacked:
    import gzip

    return Unpacked(cast(BinaryIO, gzip.GzipFile(fileobj=stream, mode="rb")))


def _to_gzip(stream: BinaryIO) -> BinaryIO:
    import gzip

    zipped = gzip.GzipFile(filename="", fileobj=stream, mode="wb", compresslevel=6, mtime=0)
    return cast(BinaryIO, zipped)


def _from_zstd(name: str, stream: BinaryIO) -> Unpacked:
    import pyarrow as pa

    return Unpacked(cast(BinaryIO, pa.CompressedInputStream(pa.PythonFile(stream, "r"), "zstd")))


def _to_zstd(stream: BinaryIO) -> BinaryIO:
    import pyarrow as pa

    kept = pa.PythonFile(KeepOpen(stream), "w")
    return cast(BinaryIO, pa.CompressedOutputStream(kept, "zstd"))


def _from_bz2(name: str, stream: BinaryIO) -> Unpacked:
    import bz2

    return Unpacked(cast(BinaryIO, bz2.BZ2File(stream)))


def _to_bz2(stream: BinaryIO) -> BinaryIO:
    import bz2

    return cast(BinaryIO, bz2.BZ2File(stream, "wb"))


def _from_xz(name: str, stream: BinaryIO) -> Unpacked:
    return Unpacked(cast(BinaryIO, _XzReader(stream)))


def _to_xz(stream: BinaryIO) -> BinaryIO:
    import lzma

    return cast(BinaryIO, lzma.LZMAFile(stream, "wb"))


class _XzReader(io.RawIOBase):
    """Undoes xz within XZ_MEMORY_BYTES, which the standard library's LZMAFile does not bound."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._decoder = self._new_decoder()
        self._begun = False

    def _new_decoder(self) -> Any:
        import lzma

        return lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=XZ_MEMORY_BYTES)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        """Raises EOFError where the data are cut off, OSError where they are damaged."""
        import lzma

        while True:
            data = self._next_bytes()
            if not data and not self._begun:
                return 0
            try:
                part = self._decoder.decompress(data, len(buffer))
            except lzma.LZMAError as error:
                raise OSError(f"xz: {error}") from error
            if part:
                buffer[: len(part)] = part
                return len(part)

    def _next_bytes(self) -> bytes:
        """What the decoder is to be given; a stream that is done is followed by a new one."""
        if self._decoder.eof:  # more streams may follow, with zeros between them
            data: bytes = self._decoder.unused_data.lstrip(b"\0")
            while not data and (data := self._stream.read(CHUNK_BYTES)):
                data = data.lstrip(b"\0")
            self._decoder, self._begun = self._new_decoder(), bool(data)
            return data
        if not self._decoder.needs_input:
            return b""
        data = self._stream.read(CHUNK_BYTES)
        if not data and self._begun:
            raise EOFError("the compressed data end before their end mark")
        self._begun = self._begun or bool(data)
        return data


def _from_zip(name: str, stream: BinaryIO) -> Unpacked:
    """The one file in a zip archive."""
    if not stream.seekable():  # an archive's list of members is at its end
        spool = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as its reader
        shutil.copyfileobj(stream, spool)
        stream = cast(BinaryIO, spool)
    try:
        archive = short_zip(stream)
        only = _only_member(name, archive.infolist())
        member = _ZipMember(stream, archive.open(only))
    except ZIP_ERRORS as error:
        raise InputError(f"{name}: a zip archive that cannot be read: {error}") from error
    return Unpacked(cast(BinaryIO, member), only.filename)


# What ZipFile raises for archives that are damaged, or that it does not know.
ZIP_ERRORS = (
    zipfile.BadZipFile,
    zlib.error,
    OSError,
    EOFError,
    ValueError,
    RuntimeError,
    struct.error,
)


class _ZipMember(io.RawIOBase):
    """Reads a file of the zip archive in `stream`, and closes both."""

    def __init__(self, stream: BinaryIO, member: IO[bytes]) -> None:
        self._stream, self._member = stream, member

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        """Raises OSError where the data are damaged."""
        try:
            data = self._member.read(len(buffer))
        except zipfile.BadZipFile as error:
            raise OSError(str(error)) from error
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        if not self.closed:
            self._member.close()
            self._stream.close()
        super().close()


def short_zip(stream: BinaryIO) -> zipfile.ZipFile:
    """A zip archive whose list of members is short. Raises one of ZIP_ERRORS where it is not."""
    return zipfile.ZipFile(cast(Any, _ShortReads(stream)))


class _ShortReads:
    """A file for ZipFile, which would read a list of members of any size at once."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self.seek, self.tell, self.seekable = stream.seek, stream.tell, stream.seekable

    def read(self, size: int = -1) -> bytes:
        data = self._stream.read(ZIP_LIST_BYTES + 1 if size < 0 else min(size, ZIP_LIST_BYTES + 1))
        if len(data) > ZIP_LIST_BYTES:
            raise ValueError("its list of files is too long")
        return data


def _only_member(name: str, members: list[Any]) -> Any:
    """The one file among an archive's members; folders and what macOS adds do not count."""
    files = [
        member
        for member in members
        if not (member.is_dir() or member.filename.startswith("__MACOSX/"))
        and PurePosixPath(member.filename).name != ".DS_Store"
    ]
    if len(files) != 1:
        shown = ", ".join(member.filename for member in files[:3])
        more = ", ..." if len(files) > 3 else ""
        what = f"{len(files):,} files ({shown}{more})" if files else "no file"
        raise InputError(
            f"{name}: a zip archive with {what}, where one is expected: "
            "unpack it and score its files"
        )
    (only,) = files
    if only.flag_bits & 1:
        raise InputError(f"{name}: {only.filename} in it is encrypted: unpack it first")
    if only.compress_type not in (ZIP_STORED, ZIP_DEFLATED):
        raise InputError(
            f"{name}: {only.filename} in it is compressed in another way than zip's usual "
            "(deflate): unpack it first"
        )
    return only


def _magic(pattern: bytes) -> re.Pattern[bytes]:
    return re.compile(pattern, re.DOTALL)


GZIP = Compression("gzip", (".gz",), _magic(rb"\x1f\x8b"), _from_gzip, _to_gzip)
ZSTD = Compression("zstd", (".zst", ".zstd"), _magic(rb"\x28\xb5\x2f\xfd"), _from_zstd, _to_zstd)
_BZ2_BLOCK = rb"BZh[1-9](\x31\x41\x59\x26\x53\x59|\x17\x72\x45\x38\x50\x90)"
BZ2 = Compression("bzip2", (".bz2",), _magic(_BZ2_BLOCK), _from_bz2, _to_bz2)
XZ = Compression("xz", (".xz",), _magic(rb"\xfd7zXZ\x00"), _from_xz, _to_xz)
ZIP = Compression("zip", (".zip",), _magic(rb"PK(\x03\x04|\x05\x06)"), _from_zip, None)

COMPRESSIONS = (GZIP, ZSTD, BZ2, XZ, ZIP)


def compression_of_suffix(suffix: str) -> Compression | None:
    """The compression that a name's last suffix states, None if it states none."""
    return next((each for each in COMPRESSIONS if suffix.lower() in each.suffixes), None)


def compression_of(head: bytes) -> Compression | None:
    """How a stream that begins with `head` is compressed, None if it is not.

    A workbook is a table, not a compressed one.
    """
    if WORKBOOK.match(head):
        return None
    return next((each for each in COMPRESSIONS if each.magic.match(head)), None)
