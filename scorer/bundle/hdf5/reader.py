"""Reads HDF5 as Keras writes it, in plain Python: groups, attributes, arrays stored in one piece or
as one deflated chunk (hdf5_packed.py).

A weights file is a stranger's. HDF5's own C library has holes that a crafted file reaches, so no
byte of one is handed to it. What Keras and h5py write by default is a small part of the format:

    superblock 0 to 3  ->  root group
    object header      ->  messages: what a group links to, what an array is and where it lies
    symbol table       ->  B-tree of links, their names in a local heap
    global heap        ->  texts of variable length

Every offset is checked against the file, nothing is followed twice, and all walks together may take
`MAX_STEPS`. Nothing outside the file is ever opened: links, external storage and virtual data sets
are told, not followed.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from scorer.bundle.hdf5.messages import (
    UNDEFINED,
    Kind,
    Message,
    attribute_parts,
    data_type,
    dimensions,
    link_target,
    messages,
)
from scorer.bundle.hdf5.packed import Packed, filters, may_hold, packed, unpacked
from scorer.errors import BundleError

MAX_OBJECTS = 10_000
#: messages, links, tree nodes and texts that may be looked at in one file
MAX_STEPS = 400_000
_SIGNATURE = b"\x89HDF\r\n\x1a\n"
_SPACE, _LINK_INFO, _TYPE, _EXTERNAL, _LAYOUT = 0x01, 0x02, 0x03, 0x07, 0x08
_LINK, _FILTERS, _ATTRIBUTE, _SYMBOLS = 0x06, 0x0B, 0x0C, 0x11
_COMPACT, _CONTIGUOUS, _CHUNKED, _VIRTUAL = 0, 1, 2, 3
#: what reading damaged bytes raises
_UNREADABLE = (struct.error, ValueError, IndexError, KeyError, OverflowError, MemoryError)


@dataclass(frozen=True)
class Elsewhere:
    """A link that is not hard: `says` tells what it is."""

    says: str


@dataclass(frozen=True)
class Array:
    """An array in the file.

    shape   None for HDF5's null space
    kind    of its values; `kind.dtype` is None where NumPy has none that we read
    offset  where its bytes begin; None where they were never written
    size    how many bytes its values take
    packed  where its deflated bytes lie, if it is stored so; `offset` is None then
    fault   why it is not read: it lies in other files, in chunks, or is filtered
    """

    shape: tuple[int, ...] | None
    kind: Kind
    offset: int | None
    size: int
    fault: str | None
    packed: Packed | None = None

    @property
    def stored(self) -> int:
        """How many bytes of the file it takes."""
        return self.size if self.packed is None else self.packed.size


class Group:
    """A group: its links by name, and its attributes. Both are read when they are asked for."""

    def __init__(self, file: File, parts: list[Message]) -> None:
        self._file, self._parts = file, parts

    @cached_property
    def links(self) -> dict[str, int | Elsewhere]:
        """The address of each object in the group by its name, or where else a link leads."""
        return dict(self._file.links_of(self._parts))

    @cached_property
    def attributes(self) -> dict[str, Any]:
        """Each attribute: a str, a list of str, or an array. Others are left out."""
        return dict(self._file.attributes_of(self._parts))


class File:
    """An HDF5 file in memory. Use `opened`, which turns what damaged bytes raise into one error."""

    def __init__(self, raw: bytes) -> None:
        self.raw = raw
        self._steps = 0
        self._objects: dict[int, Group | Array | None] = {}
        self._heaps: dict[int, dict[int, tuple[int, int]]] = {}
        self.root_address = self._superblock()
        root = self.at(self.root_address)
        if not isinstance(root, Group):
            raise ValueError("its root is not a group")
        self.root = root

    def __getitem__(self, path: str) -> Group | Array | None:
        """The object at a path below the root; None where there is none, or a link leads away."""
        found: Group | Array | None = self.root
        for name in filter(None, path.split("/")):
            address = found.links.get(name) if isinstance(found, Group) else None
            found = self.at(address) if isinstance(address, int) else None
        return found

    def at(self, address: int) -> Group | Array | None:
        """The object at an address; None for what is neither a group nor an array."""
        if address not in self._objects:
            self.step()
            self._objects[address] = self._object(address)
        return self._objects[address]

    def step(self, count: int = 1) -> None:
        """Count work. Raises ValueError where the file makes too much of it."""
        self._steps += count
        if self._steps > MAX_STEPS:
            raise ValueError(f"more than {MAX_STEPS} parts to look at")

    def values(self, array: Array) -> np.ndarray:
        """The array's own copy of its values. Raises ValueError where bytes or type are missing."""
        dtype = array.kind.dtype
        count = 0 if array.shape is None else math.prod(array.shape)
        if dtype is not None and array.packed is not None and array.shape is not None:
            return unpacked(self.raw, array.packed, array.shape, dtype)
        if dtype is None or array.offset is None or array.size != count * dtype.itemsize:
            raise ValueError("an array that cannot be read")
        found = np.frombuffer(self.raw, dtype, count, array.offset)
        return found.reshape(array.shape or ()).copy()

    def faults(self) -> Iterator[str]:
        """Links that are not hard, objects with two names, arrays that lie elsewhere: all of them.

        Each fault begins with the object's path.
        """
        seen, visited = 0, {self.root_address}
        stack: list[tuple[Group, str]] = [(self.root, "")]
        while stack:
            group, where = stack.pop()
            seen += len(group.links)
            if seen > MAX_OBJECTS:
                yield f"more than {MAX_OBJECTS} objects"
                return
            for name, target in sorted(group.links.items()):
                path = f"{where}/{name}"
                if isinstance(target, Elsewhere):
                    yield f"{path[:120]}: {target.says}"
                elif target in visited:
                    yield f"{path[:120]}: stored under two names"
                else:
                    visited.add(target)
                    child = self.at(target)
                    if isinstance(child, Group):
                        stack.append((child, path))
                    elif child is not None and child.fault:
                        yield f"{path[:120]}: {child.fault}"

    def _superblock(self) -> int:
        """The root group's address, from the file's first bytes."""
        if not self.raw.startswith(_SIGNATURE):
            raise ValueError("no HDF5 file")
        version = self.raw[8]
        if version in (0, 1):
            at = 24 + 4 * version
            base, _, end = struct.unpack_from("<QQQ", self.raw, at)
            sizes = self.raw[13], self.raw[14]
            (root,) = struct.unpack_from("<Q", self.raw, at + 40)
        elif version in (2, 3):
            sizes = self.raw[9], self.raw[10]
            base, _, end, root = struct.unpack_from("<QQQQ", self.raw, 12)
        else:
            raise ValueError(f"a superblock of version {version}")
        if sizes != (8, 8) or base != 0:
            raise ValueError("offsets that are not of 8 bytes from the file's start")
        if end > len(self.raw):
            raise ValueError(f"cut short: {len(self.raw)} bytes of {end}")
        return int(root)

    def _object(self, address: int) -> Group | Array | None:
        parts = list(messages(self.raw, address, self.step))
        types = {part.type for part in parts}
        if types & {_SYMBOLS, _LINK_INFO, _LINK}:
            return Group(self, parts)
        if _LAYOUT not in types or _SPACE not in types or _TYPE not in types:
            return None
        found = {part.type: part for part in parts}
        kind = data_type(found[_TYPE])
        shape = dimensions(found[_SPACE].data)
        chunk = self._packed(found, shape)
        if chunk is not None and shape is not None and _EXTERNAL not in found:
            count = math.prod(shape)
            size = count * kind.size if may_hold(chunk, count, kind.size) else 0
            return Array(shape, kind, None, size, None, chunk)
        offset, size, fault = self._layout(found[_LAYOUT])
        if _EXTERNAL in found:
            fault = f"stored in another file ({self._external(found[_EXTERNAL].data)!r})"
            fault += ", which Keras would read"
        elif _FILTERS in found and fault is None:
            fault = _IN_CHUNKS
        return Array(shape, kind, offset, size, fault)

    def _packed(self, found: dict[int, Message], shape: tuple[int, ...] | None) -> Packed | None:
        """The array's one deflated chunk, if it is stored so."""
        layout = found[_LAYOUT].data
        if shape is None or _FILTERS not in found or layout[1] != _CHUNKED:
            return None
        return packed(self.raw, layout, shape, filters(found[_FILTERS].data))

    def _layout(self, part: Message) -> tuple[int | None, int, str | None]:
        """Where an array's bytes lie, how many there are, and why they are not read."""
        version, kind = part.data[0], part.data[1]
        if version not in (3, 4):
            raise ValueError(f"a layout of version {version}")
        if kind == _COMPACT:
            (size,) = struct.unpack_from("<H", part.data, 2)
            return part.offset + 4, size if size <= len(part.data) - 4 else 0, None
        if kind == _CONTIGUOUS:
            offset, size = struct.unpack_from("<QQ", part.data, 2)
            whole = offset != UNDEFINED and offset + size <= len(self.raw)
            return (offset, size, None) if whole else (None, 0, None)
        if kind == _VIRTUAL:
            heap, index = struct.unpack_from("<QI", part.data, 2)
            name = self._virtual_source(heap, index)
            return None, 0, f"a virtual data set, read from other files ({name!r})"
        return None, 0, _IN_CHUNKS

    def _virtual_source(self, heap: int, index: int) -> str:
        """The first source file's name, of no use but to be told."""
        try:
            return _until_zero(self._heap_object(heap, index)[9:])
        except _UNREADABLE:
            return "?"

    def _external(self, data: bytes) -> str:
        """The first file's name in a list of external storage."""
        heap, name = struct.unpack_from("<QQ", data, 8)
        return self._local_name(heap, name)

    def _local_name(self, heap: int, offset: int) -> str:
        """A text of a group's local heap."""
        if self.raw[heap : heap + 4] != b"HEAP":
            raise ValueError("no local heap where one is named")
        size, _, start = struct.unpack_from("<QQQ", self.raw, heap + 8)
        if offset >= size or start + size > len(self.raw):
            raise ValueError("a name outside its heap")
        return _until_zero(self.raw[start + offset : start + min(size, offset + 1024)])

    def links_of(self, parts: list[Message]) -> Iterator[tuple[str, int | Elsewhere]]:
        """The links of a group, which lie in its own header or in a symbol table."""
        for part in parts:
            if part.type == _SYMBOLS:
                tree, heap = struct.unpack_from("<QQ", part.data)
                yield from self._symbols(tree, heap)
            elif part.type == _LINK:
                name, target = link_target(part.data)
                yield name, target if isinstance(target, int) else Elsewhere(target)
            elif part.type == _LINK_INFO:
                at = 2 + 8 * (part.data[1] & 1)
                if struct.unpack_from("<Q", part.data, at)[0] != UNDEFINED:
                    raise ValueError("a group of more links than its header holds")

    def _symbols(self, tree: int, heap: int) -> Iterator[tuple[str, int | Elsewhere]]:
        stack, visited = [tree], set()
        while stack:
            at = stack.pop()
            self.step()
            if at in visited:
                raise ValueError("a group that lists its links twice")
            visited.add(at)
            if self.raw[at : at + 4] == b"SNOD":
                yield from self._symbol_node(at, heap)
            elif self.raw[at : at + 5] == b"TREE\0":
                (used,) = struct.unpack_from("<H", self.raw, at + 6)
                self.step(used)
                keys = struct.unpack_from(f"<{2 * used + 1}Q", self.raw, at + 24)
                stack.extend(reversed(keys[1::2]))
            else:
                raise ValueError("a group without a list of its links")

    def _symbol_node(self, at: int, heap: int) -> Iterator[tuple[str, int | Elsewhere]]:
        (count,) = struct.unpack_from("<H", self.raw, at + 6)
        self.step(count)
        for i in range(count):
            entry = struct.unpack_from("<QQIII", self.raw, at + 8 + 40 * i)
            name, address, cached, _, value = entry
            if cached == 2:
                target = self._local_name(heap, value)
                yield self._local_name(heap, name), Elsewhere(f"a soft link ({target[:120]!r})")
            else:
                yield self._local_name(heap, name), address

    def attributes_of(self, parts: list[Message]) -> Iterator[tuple[str, Any]]:
        """An object's attributes whose kinds are read."""
        for part in parts:
            if part.type == _ATTRIBUTE and (found := attribute_parts(part)):
                name, kind, shape, data = found
                value = self._attribute(kind, shape, data)
                if value is not None:
                    yield name, value

    def _attribute(self, kind: Kind, shape: tuple[int, ...] | None, data: bytes) -> Any:
        count = math.prod(shape) if shape is not None else 0
        if count * kind.size > len(data):
            raise ValueError("an attribute of more values than it stores")
        if kind.dtype is not None:
            return np.frombuffer(data, kind.dtype, count).reshape(shape or ()).copy()
        if not kind.text:
            return None
        self.step(count)
        cells = [data[i * kind.size : (i + 1) * kind.size] for i in range(count)]
        texts = [(self._long_text(c) if kind.variable else c).rstrip(b"\0") for c in cells]
        decoded = [text.decode("utf-8") for text in texts]
        return decoded[0] if shape == () else decoded

    def _long_text(self, cell: bytes) -> bytes:
        """A text of variable length: its size, then the address and the number of a heap object."""
        size, heap, index = struct.unpack("<IQI", cell)
        return self._heap_object(heap, index)[:size] if size else b""

    def _heap_object(self, heap: int, index: int) -> bytes:
        if heap not in self._heaps:
            self._heaps[heap] = dict(self._heap_objects(heap))
        start, size = self._heaps[heap][index]
        return self.raw[start : start + size]

    def _heap_objects(self, heap: int) -> Iterator[tuple[int, tuple[int, int]]]:
        """Number -> start and size of each object of a global heap."""
        (size,) = struct.unpack_from("<Q", self.raw, heap + 8)
        if self.raw[heap : heap + 4] != b"GCOL" or heap + size > len(self.raw):
            raise ValueError("no global heap where one is named")
        at, end = heap + 16, heap + size
        while at + 16 <= end:
            self.step()
            index, _, _, length = struct.unpack_from("<HHIQ", self.raw, at)
            if index == 0:  # the free space, which comes last
                return
            if at + 16 + length > end:
                raise ValueError("an object larger than its heap")
            yield index, (at + 16, length)
            at += 16 + -(-length // 8) * 8


_IN_CHUNKS = "stored in several chunks or through filters other than shuffle and deflate"


@contextmanager
def opened(raw: bytes, name: str) -> Iterator[File]:
    """The HDF5 file in memory. What damaged bytes raise inside becomes a BundleError."""
    try:
        yield File(raw)
    except _UNREADABLE as error:
        reason = " ".join(str(error).split())[:120] or type(error).__name__
        raise BundleError(f"{name}: not readable ({reason})") from error


def _until_zero(data: bytes) -> str:
    return data.partition(b"\0")[0].decode("utf-8", "replace")[:120]
