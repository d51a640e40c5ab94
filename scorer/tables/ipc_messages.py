"""What the messages of an Arrow file or stream unpack to, read off their own metadata.

Arrow unpacks as much as a compressed buffer says of itself. So that is what must be looked at
before a batch is read. The metadata are FlatBuffers:
https://arrow.apache.org/docs/format/Columnar.html#serialization-and-interprocess-communication-ipc
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass

Read = Callable[[int, int], bytes]

MAGIC = b"ARROW1"
CONTINUED = b"\xff\xff\xff\xff"
MAX_METADATA_BYTES = 64 << 20
DICTIONARY, RECORD = 2, 3
CODECS = {0: "lz4", 1: "zstd"}

_U16, _I32, _U32, _I64 = (struct.Struct(kind) for kind in ("<H", "<i", "<I", "<q"))
_BUFFER = struct.Struct("<qq")
_BLOCK = struct.Struct("<qi4xq")


class _Table:
    """A table of a FlatBuffer. Raises ValueError or struct.error where it leads outside."""

    def __init__(self, data: bytes, at: int) -> None:
        self._data = data
        self._at = at
        self._fields = at - _I32.unpack_from(data, at)[0]
        if self._fields < 0 or at < 0:
            raise ValueError("its metadata lead outside")
        self._size = _U16.unpack_from(data, self._fields)[0]

    @classmethod
    def root(cls, data: bytes) -> _Table:
        return cls(data, _U32.unpack_from(data, 0)[0])

    def _place(self, field: int) -> int | None:
        slot = 4 + 2 * field
        if slot + 2 > self._size:
            return None
        offset = _U16.unpack_from(self._data, self._fields + slot)[0]
        return self._at + offset if offset else None

    def byte(self, field: int) -> int:
        place = self._place(field)
        return 0 if place is None else self._data[place]

    def long(self, field: int) -> int:
        place = self._place(field)
        return 0 if place is None else int(_I64.unpack_from(self._data, place)[0])

    def table(self, field: int) -> _Table | None:
        place = self._place(field)
        if place is None:
            return None
        return _Table(self._data, place + _U32.unpack_from(self._data, place)[0])

    def structs(self, field: int, layout: struct.Struct) -> Iterator[tuple[int, ...]]:
        place = self._place(field)
        if place is None:
            return
        start = place + _U32.unpack_from(self._data, place)[0]
        count = _U32.unpack_from(self._data, start)[0]
        yield from layout.iter_unpack(
            memoryview(self._data)[start + 4 : start + 4 + count * layout.size]
        )


@dataclass(frozen=True)
class Message:
    """A batch of rows, or of a dictionary's entries.

    body      bytes that it takes in the file
    unpacked  bytes that its buffers say they unpack to; 0 where it is not compressed
    """

    is_dictionary: bool
    rows: int
    body: int
    unpacked: int
    codec: str | None


def messages_of_stream(read: Read, size: int) -> Iterator[Message]:
    """The batches of a stream of `size` bytes, in order. Raises ValueError, struct.error."""
    at = 0
    while at + 8 <= size:
        start = read(at, 8)
        length = _I32.unpack_from(start, 4)[0]
        if not start.startswith(CONTINUED) or not length:
            return
        message, body = _message(read, at, length)
        if message is not None:
            yield message
        at += 8 + length + body
        if body < 0 or at > size:
            raise ValueError("it is cut off")


def messages_of_file(read: Read, size: int) -> Iterator[Message]:
    """The batches that a file's footer lists: dictionaries, then rows."""
    end = size - len(MAGIC) - 4
    length = _I32.unpack(read(end, 4))[0] if end >= 0 else -1
    if not 0 < length <= min(end, MAX_METADATA_BYTES):
        raise ValueError("its footer is not whole")
    footer = _Table.root(read(end - length, length))
    for field in (2, 3):
        for at, metadata, _ in footer.structs(field, _BLOCK):
            message, _ = _message(read, at, metadata - 8)
            if message is None:
                raise ValueError("its footer lists what is not a batch")
            yield message


def _message(read: Read, at: int, length: int) -> tuple[Message | None, int]:
    """The message at `at`, None if it is not of data, and the bytes of its body."""
    if not 0 < length <= MAX_METADATA_BYTES or at < 0:
        raise ValueError("its metadata are not whole")
    data = read(at + 8, length)
    root = _Table.root(data)
    kind, content, body = root.byte(1), root.table(2), root.long(3)
    if kind not in (DICTIONARY, RECORD) or content is None:
        return None, body
    batch = content.table(1) if kind == DICTIONARY else content
    if batch is None:
        raise ValueError("its metadata are not whole")
    compression, unpacked, codec = batch.table(3), 0, None
    if compression is not None:
        codec = CODECS.get(compression.byte(0))
        start = at + 8 + length
        for offset, size in batch.structs(2, _BUFFER):
            if size >= 8 and offset >= 0:
                unpacked += max(_I64.unpack(read(start + offset, 8))[0], 0)
    return Message(kind == DICTIONARY, batch.long(0), body, unpacked, codec), body
