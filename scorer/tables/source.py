"""Where a table comes from, and the byte stream of it with compression undone."""

from __future__ import annotations

import io
import os
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, cast

import pyarrow as pa

from scorer.errors import InputError
from scorer.tables.compression import Compression, KeepOpen, compression_of
from scorer.tables.foreign import refuse_foreign

BUFFER_BYTES = 1 << 18
# By so many of its first bytes a file is told.
HEAD_BYTES = 4096
STDIN = "-"


@dataclass(frozen=True)
class Source:
    """One input: the name that messages use, and how to read it.

    open     its bytes from the first to the last
    random   what pyarrow can read at any place: a path or an open file; None: a stream only
    stat     size and modification time, raising InputError where it is gone; None: a stream
    path     where it lies, if on this disk
    """

    name: str
    open: Callable[[], BinaryIO]
    random: Callable[[], Any] | None = None
    stat: Callable[[], dict[str, Any]] | None = None
    path: Path | None = None

    def fingerprint(self) -> dict[str, Any]:
        """What tells a changed input: size and time of modification; nothing of a stream."""
        return {} if self.stat is None else self.stat()

    def at_any_place(self) -> BinaryIO:
        """An open file that can be read at any place; only where there is `random`."""
        assert self.random is not None
        opened = self.random()
        return _opened(Path(opened)) if isinstance(opened, str) else cast(BinaryIO, opened)

    def section(self, first: int, end: int) -> BinaryIO:
        """Its bytes from `first` to before `end`; only where there is `random`."""
        checked = _Checked(self.name, _Section(self.at_any_place(), first, end))
        return cast(BinaryIO, io.BufferedReader(checked, BUFFER_BYTES))


def local_source(path: Path) -> Source:
    """A regular file on this disk."""
    name = shown(path)

    def opened() -> BinaryIO:
        return _opened(path)

    def random() -> str | BinaryIO:
        return name if name == str(path) else opened()  # pyarrow opens names in UTF-8 only

    def stat() -> dict[str, Any]:
        try:
            status = path.stat()
        except OSError as error:
            raise InputError(f"{name}: {_reason(error)}") from error
        return {"size": status.st_size, "modified_ns": status.st_mtime_ns}

    return Source(name, opened, random, stat, path)


def stream_source(path: Path) -> Source:
    """What can be read once, from its begin: a named pipe or a device."""
    return Source(shown(path), lambda: _opened(path))


def _opened(path: Path) -> BinaryIO:
    try:
        return path.open("rb", buffering=BUFFER_BYTES)
    except OSError as error:
        raise InputError(f"{shown(path)}: {_reason(error)}") from error


def shown(path: Path) -> str:
    r"""A path as text that can be encoded: bytes of it that are not UTF-8 become `\xff`."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def _reason(error: OSError) -> str:
    if isinstance(error, FileNotFoundError):
        return "no such file"
    return f"cannot be opened: {error.strerror}"


def stdin_source(stream: BinaryIO) -> Source:
    return Source("stdin", lambda: stream)


class _Checked(io.RawIOBase):
    """A stream whose read errors are InputErrors that name the file.

    `below` is what `inner` reads from, where it leaves that open. Only with `random` it can be
    read at any place, if `inner` can.
    """

    def __init__(
        self, name: str, inner: Any, below: io.IOBase | None = None, *, random: bool = False
    ) -> None:
        self._name = name
        self._inner = inner
        self._below = below
        self._random = random and inner.seekable()

    def seekable(self) -> bool:
        return self._random

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        if not self._random:
            raise io.UnsupportedOperation("seek")
        return int(self._inner.seek(offset, whence))

    def tell(self) -> int:
        if not self._random:
            raise io.UnsupportedOperation("tell")
        return int(self._inner.tell())

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        try:
            data = self._inner.read(len(buffer))
        except (EOFError, zlib.error, OSError, UnicodeError, pa.ArrowException) as error:
            reason = getattr(error, "strerror", None) or str(error).splitlines()[0]
            raise InputError(f"{self._name}: cannot be read to its end: {reason}") from error
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        if not self.closed:
            try:
                self._inner.close()
            finally:
                if self._below is not None:
                    self._below.close()
        super().close()


class _Section:
    """Some bytes of a file that can be read at any place."""

    def __init__(self, file: BinaryIO, first: int, end: int) -> None:
        self._file = file
        self._left = end - first
        file.seek(first)

    def read(self, size: int) -> bytes:
        data = self._file.read(min(size, self._left))
        self._left -= len(data)
        return data

    def close(self) -> None:
        self._file.close()


@dataclass(frozen=True)
class Content:
    """A source's bytes, decompressed.

    head   the first of them, which `stream` still gives
    names  what may tell their format: the source's name, and the one in its archive
    """

    stream: io.BufferedReader[Any]
    head: bytes
    names: tuple[str, ...]
    compression: Compression | None = None


def readable(source: Source) -> Content:
    """The source's content; the first bytes tell how it is compressed.

    Raises InputError where it is a kind of file that is none of ours, and names it.
    """
    file = _Checked(source.name, source.open(), random=True)
    raw: io.BufferedReader[Any] = io.BufferedReader(file, BUFFER_BYTES)
    try:
        return _content(source.name, raw)
    except BaseException:
        raw.close()
        raise


def _content(name: str, raw: io.BufferedReader[Any]) -> Content:
    head = raw.peek(HEAD_BYTES)[:HEAD_BYTES]
    refuse_foreign(name, head)
    compression = compression_of(head)
    if compression is None:
        return Content(raw, head, (name,))
    inner = compression.decompress(name, cast(BinaryIO, raw))
    stream = io.BufferedReader(_Checked(name, inner.stream, raw), BUFFER_BYTES)
    head = stream.peek(HEAD_BYTES)[:HEAD_BYTES]
    refuse_foreign(name, head)
    return Content(stream, head, (name, inner.name or ""), compression)


def is_ascii_compatible(encoding: str) -> bool:
    """Whether the encoding's delimiters, quotes and line ends are the bytes that ASCII has."""
    return '\n,"\t'.encode(encoding) == b'\n,"\t'


def as_utf8(name: str, stream: io.BufferedReader[Any], encoding: str) -> io.BufferedReader[Any]:
    """The stream in UTF-8. Invalid input is an InputError of the file, not of a row."""
    return io.BufferedReader(_Checked(name, _Recoded(stream, encoding)), BUFFER_BYTES)


class _Recoded:
    """Reads text in one encoding as bytes of UTF-8."""

    def __init__(self, stream: io.BufferedReader[Any], encoding: str) -> None:
        self._text = io.TextIOWrapper(stream, encoding=encoding, newline="")
        self._rest = b""

    def read(self, size: int) -> bytes:
        if not self._rest:
            self._rest = self._text.read(size).encode("utf-8")
        part, self._rest = self._rest[:size], self._rest[size:]
        return part

    def close(self) -> None:
        self._text.close()


def writable(stream: BinaryIO, compression: Compression | None) -> BinaryIO:
    """`stream` with compression applied; the same bytes in give the same bytes out.

    Closing it ends the compressed data and leaves `stream` open.
    """
    if compression is None or compression.compress is None:
        return cast(BinaryIO, KeepOpen(stream))
    return compression.compress(stream)
