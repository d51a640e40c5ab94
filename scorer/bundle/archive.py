"""The zip archive of a bundle: only the members that Keras writes, each within its size."""

from __future__ import annotations

import hashlib
import io
import re
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from scorer.bundle.foreign import HDF5, ZIP, foreign_folder, refuse_foreign
from scorer.errors import BundleError
from scorer.files import read_regular

_MB = 1 << 20
MAX_ARCHIVE = 512 * _MB
MAX_MEMBERS = 64

#: an archive may unpack to this much whatever its own size, and to so many times its size
_FREE_BYTES = 32 * _MB
_MAX_RATIO = 20

#: each vectorizer's vocabulary, which Keras writes twice; it may stand in nested models
_FOLDER = "(?:layers|_layer_checkpoint_dependencies)"  # the second in Keras 2.12
_VOCABULARY = re.compile(
    rf"assets/((?:{_FOLDER}/(?:sequential|functional)(?:_[1-9][0-9]?)?/){{0,8}}"
    rf"{_FOLDER}/(?:text_vectorization|string_lookup|integer_lookup)(?:_[1-9][0-9]?)?)"
    r"/(?:_lookup_layer/)?vocabulary\.txt"
)
_VOCABULARY_BYTES = 16 * _MB
#: member -> most bytes it may hold, uncompressed
_SIZES = {"metadata.json": 64 << 10, "config.json": 96 * _MB, "model.weights.h5": MAX_ARCHIVE}
_REQUIRED = ("config.json", "model.weights.h5")
_ENTRY = b"PK\x01\x02"  # before each entry of a zip's directory


@dataclass(frozen=True)
class Members:
    """The bytes of the members that are read; vocabularies by the place of their vectorizer."""

    config: bytes
    weights: bytes
    vocabularies: dict[str, bytes]
    metadata: bytes = b"{}"


def read_archive(path: Path, digest: str | None = None) -> tuple[bytes, str]:
    """The file's bytes and their SHA-256, which must equal `digest` where one is given.

    The file is read once: what is checked is what is used. What it is, its content says, not its
    name. Raises BundleError where it is too large, or of another kind than .keras and .h5.
    """
    if path.is_dir():
        raise foreign_folder(path)
    try:
        data = read_regular(path, MAX_ARCHIVE)
    except OSError as error:
        raise BundleError(f"cannot be read: {error.strerror}") from error
    found = hashlib.sha256(data).hexdigest()
    if digest is not None and found != digest:
        raise BundleError(
            f"the file's digest is {found[:12]}…, the zoo's index says {digest[:12]}…: "
            "the file was changed or damaged; restore it, or `zoo add` it again"
        )
    refuse_foreign(data, path.name)
    if not data.startswith((ZIP, HDF5)):
        raise BundleError(
            "neither a .keras archive nor an .h5 model: save the model with "
            "model.save('model.keras')"
        )
    return data, found


def members_of(data: bytes) -> Members:
    """The members of a `.keras` archive in memory."""
    with open_archive(data) as archive:
        for fault in member_faults(archive, len(data)):
            raise BundleError(fault)
        return _read_all(archive, data)


def open_archive(data: bytes) -> zipfile.ZipFile:
    """The archive in memory. Its entries are counted first: each costs memory when listed."""
    entries = data.count(_ENTRY)
    if entries > MAX_MEMBERS:
        raise BundleError(f"the archive lists {entries} members, at most {MAX_MEMBERS}")
    try:
        return zipfile.ZipFile(io.BytesIO(data))
    except (zipfile.BadZipFile, ValueError, NotImplementedError, struct.error) as error:
        raise BundleError(f"not a readable .keras archive ({_brief(error)})") from error


def member_faults(archive: zipfile.ZipFile, size: int) -> Iterator[str]:
    """What is wrong with the members of an archive of `size` bytes, before any is unpacked."""
    seen: set[str] = set()
    for info in archive.infolist():
        fault = _member_fault(info, seen)
        if fault:
            yield f"member {info.orig_filename[:120]!r}: {fault}"
        seen.add(info.orig_filename)
    for name in _REQUIRED:
        if name not in seen:
            yield f"the archive has no {name}"
    unpacked, most = sum(i.file_size for i in archive.infolist()), _FREE_BYTES + _MAX_RATIO * size
    if unpacked > most:
        yield f"a zip bomb: {size} bytes unpack to {unpacked}, at most {most}"


def _member_fault(info: zipfile.ZipInfo, seen: set[str]) -> str | None:
    # `orig_filename` is the name as stored: zipfile cuts `filename` at a NUL byte.
    name = info.orig_filename
    if name in seen:
        return "stored twice, so that two readers could see two models"
    if name.startswith(("/", "\\")) or ".." in name or ":" in name or "\\" in name:
        return "its name leads out of the folder it would be unpacked into"
    if stat.S_ISLNK(info.external_attr >> 16):
        return "a symbolic link"
    most = _VOCABULARY_BYTES if _VOCABULARY.fullmatch(name) else _SIZES.get(name)
    if name != info.filename or most is None:
        return "not one that a .keras archive of a text model has"
    if info.flag_bits & 0x1:
        return "encrypted"
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        return f"compressed by method {info.compress_type}, only deflate is read"
    if info.file_size > most:
        return f"{info.file_size} bytes, at most {most}"
    return None


def _read_all(archive: zipfile.ZipFile, data: bytes) -> Members:
    names = archive.namelist()
    return Members(
        config=read_member(archive, "config.json"),
        weights=read_member(archive, "model.weights.h5"),
        vocabularies=_vocabularies(archive, data),
        metadata=read_member(archive, "metadata.json") if "metadata.json" in names else b"{}",
    )


def _vocabularies(archive: zipfile.ZipFile, data: bytes) -> dict[str, bytes]:
    """By the place of their vectorizer. Keras deflates its two copies of each to the same bytes,
    and these are inflated once."""
    found: dict[str, bytes] = {}
    stored: dict[str, tuple[int, int, int, bytes]] = {}
    for info in archive.infolist():
        match = _VOCABULARY.fullmatch(info.filename)
        if match is None:
            continue
        place, as_stored = match[1], _as_stored(archive, info, data)
        if stored.setdefault(place, as_stored) == as_stored and place in found:
            continue
        text = read_member(archive, info.filename)
        if found.setdefault(place, text) != text:
            place = place.removeprefix("layers/")
            raise BundleError(f"{place}/vocabulary.txt: the archive's two copies differ")
    return found


def _as_stored(
    archive: zipfile.ZipFile, info: zipfile.ZipInfo, data: bytes
) -> tuple[int, int, int, bytes]:
    """A member's bytes as the archive holds them, behind all that says what they become."""
    with _member_errors(info.filename):
        archive.open(info).close()  # it checks the member's own header
        lengths = struct.unpack_from(
            "<HH", data, info.header_offset + 26
        )  # of name and extra field
        begin = info.header_offset + 30 + sum(lengths)
        content = data[begin : begin + info.compress_size]
    return info.compress_type, info.file_size, info.CRC, content


def read_member(archive: zipfile.ZipFile, name: str) -> bytes:
    """The member's bytes. A member that unpacks to more than it declares is cut off and refused."""
    size = archive.getinfo(name).file_size
    with _member_errors(name), archive.open(name) as member:
        data = member.read(size + 1)
    if len(data) != size:
        raise BundleError(f"member {name!r}: holds another number of bytes than it declares")
    return data


@contextmanager
def _member_errors(name: str) -> Iterator[None]:
    """What reading a damaged member raises becomes a BundleError."""
    try:
        yield
    except (zipfile.BadZipFile, zlib.error, struct.error, EOFError, OSError, ValueError) as error:
        raise BundleError(f"member {name!r}: damaged ({_brief(error)})") from error
    except (NotImplementedError, RuntimeError) as error:
        raise BundleError(f"member {name!r}: cannot be unpacked ({_brief(error)})") from error


def _brief(error: Exception) -> str:
    """zipfile's messages quote names of up to 64 KB."""
    return " ".join(str(error).split())[:120]
