"""HDF5's object headers: their messages, and what those say of types, shapes, links, attributes."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

UNDEFINED = (1 << 64) - 1
_CONTINUATION, _MAX_RANK = 0x10, 32
_FIXED, _FLOAT, _STRING, _VARIABLE = 0, 1, 3, 9
#: the classes of HDF5's types, for messages
_CLASSES = (
    "integer time-less",
    "float",
    "time",
    "text",
    "bit field",
    "opaque",
    "compound",
    "reference",
    "enumerated",
    "variable-length",
    "array",
)
#: size -> the properties of IEEE's little-endian float: offset, precision, exponent, mantissa, bias
_IEEE = {
    2: (0, 16, 10, 5, 0, 10, 15),
    4: (0, 32, 23, 8, 0, 23, 127),
    8: (0, 64, 52, 11, 0, 52, 1023),
}


@dataclass(frozen=True)
class Message:
    """A part of an object's header: its type's number, its bytes and where they lie."""

    type: int
    shared: bool
    data: bytes
    offset: int


@dataclass(frozen=True)
class Kind:
    """What the values of an array or attribute are.

    name      for messages
    size      bytes of one
    dtype     NumPy's, for integers and IEEE floats
    text      whether they are texts, `variable` in length or of `size` bytes
    """

    name: str
    size: int
    dtype: np.dtype | None = None
    text: bool = False
    variable: bool = False


def messages(raw: bytes, address: int, step: Callable[[], None]) -> Iterator[Message]:
    """The messages of the object header at an address, continued blocks included.

    `step` is called for each. Raises ValueError or struct.error where the header is damaged.
    """
    if raw[address : address + 4] == b"OHDR":
        return _new_messages(raw, address, step)
    return _old_messages(raw, address, step)


def _old_messages(raw: bytes, address: int, step: Callable[[], None]) -> Iterator[Message]:
    version, _, count, _, size = struct.unpack_from("<BBHII", raw, address)
    if version != 1:
        raise ValueError(f"an object header of version {version}")
    blocks, seen = [(address + 16, size)], {address + 16}
    for at, length in blocks:
        end = _end(raw, at, length)
        while at + 8 <= end and count > 0:
            step()
            kind, size, flags = struct.unpack_from("<HHB", raw, at)
            part = _message(raw, kind, flags, at + 8, size, end)
            if kind == _CONTINUATION:
                _continue(blocks, seen, part, 0, 0)
            else:
                yield part
            at += 8 + size
            count -= 1


def _new_messages(raw: bytes, address: int, step: Callable[[], None]) -> Iterator[Message]:
    flags = raw[address + 5]
    if raw[address + 4] != 2:
        raise ValueError(f"an object header of version {raw[address + 4]}")
    at = address + 6 + (16 if flags & 0x20 else 0) + (4 if flags & 0x10 else 0)
    width = 1 << (flags & 3)
    size = int.from_bytes(raw[at : at + width], "little")
    head = 6 if flags & 4 else 4
    blocks, seen = [(at + width, size)], {at + width}
    for at, length in blocks:
        end = _end(raw, at, length)
        while at + head <= end:
            step()
            kind, size, own = struct.unpack_from("<BHB", raw, at)
            part = _message(raw, kind, own, at + head, size, end)
            if kind == _CONTINUATION:
                _continue(blocks, seen, part, 4, 4)  # a block has a signature and a checksum
            else:
                yield part
            at += head + size


def _continue(
    blocks: list[tuple[int, int]], seen: set[int], part: Message, before: int, after: int
) -> None:
    start, length = struct.unpack_from("<QQ", part.data)
    start, length = start + before, length - before - after
    if start in seen:
        raise ValueError("an object header that continues in itself")
    seen.add(start)
    blocks.append((start, length))


def _end(raw: bytes, at: int, length: int) -> int:
    if length < 0 or at + length > len(raw):
        raise ValueError("an object header beyond the file's end")
    return at + length


def _message(raw: bytes, kind: int, flags: int, at: int, size: int, end: int) -> Message:
    if at + size > end:
        raise ValueError("a message larger than its header")
    return Message(kind, bool(flags & 2), raw[at : at + size], at)


def data_type(part: Message) -> Kind:
    """The kind of an array's values."""
    return Kind("values of a named type", 0) if part.shared else kind_of(part.data)


def kind_of(data: bytes) -> Kind:
    """The kind that a data type message describes."""
    version, number, bits, size = data[0] >> 4, data[0] & 15, data[1], *_unpack("<I", data, 4)
    name = _CLASSES[number] if number < len(_CLASSES) else "unknown"
    if not 1 <= version <= 4:
        raise ValueError(f"a data type of version {version}")
    order = ">" if bits & 1 else "<"
    if number == _FIXED and size in (1, 2, 4, 8):
        if struct.unpack_from("<HH", data, 8) == (0, 8 * size):
            dtype = np.dtype(f"{order}{'i' if bits & 8 else 'u'}{size}")
            return Kind(str(dtype), size, dtype)
        return Kind("integers of odd bits", size)
    if number == _FLOAT:
        properties = struct.unpack_from("<HHBBBBI", data, 8)
        if size in _IEEE and properties == _IEEE[size] and data[2] == 8 * size - 1:
            dtype = np.dtype(f"{order}f{size}")
            return Kind(str(dtype), size, dtype)
        return Kind("other float", size)
    if number == _STRING:
        return Kind(name, size, text=True)
    if number == _VARIABLE and bits & 15 == 1 and size == 16:
        return Kind(name, size, text=True, variable=True)
    return Kind(name, size)


def _unpack(form: str, data: bytes, at: int) -> tuple[int, ...]:
    return struct.unpack_from(form, data, at)


def dimensions(data: bytes) -> tuple[int, ...] | None:
    """The shape of a data space message; None for the null space."""
    version, rank = data[0], data[1]
    if version not in (1, 2) or rank > _MAX_RANK:
        raise ValueError(f"a data space of version {version} and rank {rank}")
    if version == 2 and data[3] == 2:
        return None
    return struct.unpack_from(f"<{rank}Q", data, 8 if version == 1 else 4)


def link_target(data: bytes) -> tuple[str, int | str]:
    """A link message's name, and the address it leads to or, for other links, what it is."""
    flags, at = data[1], 2
    kind = data[at] if flags & 8 else 0
    at += (1 if flags & 8 else 0) + (8 if flags & 4 else 0) + (1 if flags & 16 else 0)
    width = 1 << (flags & 3)
    length = int.from_bytes(data[at : at + width], "little")
    at += width
    name = data[at : at + length].decode("utf-8", "replace")
    at += length
    if kind == 0:
        return name, int(struct.unpack_from("<Q", data, at)[0])
    (length,) = struct.unpack_from("<H", data, at)
    value = data[at + 2 : at + 2 + length]
    if kind == 1:
        return name, f"a soft link ({value.decode('utf-8', 'replace')[:120]!r})"
    if kind == 64:
        file = value[1:].partition(b"\0")[0].decode("utf-8", "replace")
        return name, f"a link into another file ({file[:120]!r})"
    return name, f"a link of kind {kind}"


def attribute_parts(part: Message) -> tuple[str, Kind, tuple[int, ...] | None, bytes] | None:
    """An attribute's name, kind, shape and stored bytes; None where it is shared."""
    data = part.data
    version, flags, name_size, type_size, space_size = struct.unpack_from("<BBHHH", data)
    if version not in (1, 2, 3):
        raise ValueError(f"an attribute of version {version}")
    if part.shared or (version > 1 and flags & 3):
        return None
    at, pieces = 9 if version == 3 else 8, []
    for size in (name_size, type_size, space_size):
        if at + size > len(data):
            raise ValueError("an attribute larger than its message")
        pieces.append(data[at : at + size])
        at += -(-size // 8) * 8 if version == 1 else size
    name = pieces[0].rstrip(b"\0").decode("utf-8", "replace")
    return name, kind_of(pieces[1]), dimensions(pieces[2]), data[at:]
