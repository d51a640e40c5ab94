"""The zip archive of a bundle: only the members that Keras writes, each within its size."""

from __future__ import annotations

import hashlib
import io
import stat
import zipfile
from dataclasses import dataclass
from pathlib import Path

from scorer.errors import BundleError

_MB = 1 << 20
MAX_ARCHIVE = 512 * _MB

_VOCABULARIES = (
    "assets/layers/text_vectorization/_lookup_layer/vocabulary.txt",
    "assets/layers/text_vectorization/vocabulary.txt",
)
#: member -> most bytes it may hold, uncompressed
MEMBERS = {
    "metadata.json": 64 << 10,
    "config.json": 64 * _MB,
    "model.weights.h5": MAX_ARCHIVE,
    **dict.fromkeys(_VOCABULARIES, 64 * _MB),
}
_REQUIRED = ("config.json", "model.weights.h5")


@dataclass(frozen=True)
class Members:
    """The bytes of the members that are read."""

    config: bytes
    weights: bytes
    vocabulary: bytes | None


def read_members(path: Path, digest: str | None) -> tuple[Members, str]:
    """The archive's members and its SHA-256, which must equal `digest` where one is given.

    The file is read once: what was checked is what is used.
    """
    data = _read_file(path)
    found = hashlib.sha256(data).hexdigest()
    if digest is not None and found != digest:
        raise BundleError(
            f"the file's digest is {found[:12]}…, the zoo's index says {digest[:12]}…: "
            "it was changed or damaged; restore it, or `zoo add` it again"
        )
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = _read_all(archive)
    except (zipfile.BadZipFile, NotImplementedError, EOFError, ValueError) as error:
        raise BundleError(f"not a readable .keras archive ({error})") from error
    return members, found


def _read_file(path: Path) -> bytes:
    if path.suffix != ".keras":
        raise BundleError("only .keras archives are read (no HDF5, SavedModel or pickle)")
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise BundleError("not a regular file")
        if path.stat().st_size > MAX_ARCHIVE:
            raise BundleError(f"larger than {MAX_ARCHIVE // _MB} MB")
        return path.read_bytes()
    except OSError as error:
        raise BundleError(f"cannot be read: {error.strerror}") from error


def _read_all(archive: zipfile.ZipFile) -> Members:
    seen: set[str] = set()
    for info in archive.infolist():
        _check_member(info, seen)
        seen.add(info.filename)
    for name in _REQUIRED:
        if name not in seen:
            raise BundleError(f"the archive has no {name}")
    vocabularies = {_read(archive, name) for name in _VOCABULARIES if name in seen}
    if len(vocabularies) > 1:
        raise BundleError("vocabulary.txt: the archive's two copies differ")
    return Members(
        config=_read(archive, "config.json"),
        weights=_read(archive, "model.weights.h5"),
        vocabulary=vocabularies.pop() if vocabularies else None,
    )


def _check_member(info: zipfile.ZipInfo, seen: set[str]) -> None:
    # `orig_filename` is the name as stored: zipfile cuts `filename` at a NUL byte.
    name = info.orig_filename
    if name != info.filename or name not in MEMBERS:
        raise BundleError(f"member {name!r}: not one that a .keras archive of this kind has")
    if name in seen:
        raise BundleError(f"member {name!r}: stored twice")
    if info.flag_bits & 0x1:
        raise BundleError(f"member {name!r}: encrypted")
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise BundleError(f"member {name!r}: compressed by method {info.compress_type}")
    if stat.S_ISLNK(info.external_attr >> 16):
        raise BundleError(f"member {name!r}: a symbolic link")
    if info.file_size > MEMBERS[name]:
        raise BundleError(f"member {name!r}: {info.file_size} bytes, at most {MEMBERS[name]}")


def _read(archive: zipfile.ZipFile, name: str) -> bytes:
    """The member's bytes. A member that unpacks to more than it declares is cut off and refused."""
    size = archive.getinfo(name).file_size
    with archive.open(name) as member:
        data = member.read(size + 1)
    if len(data) != size:
        raise BundleError(f"member {name!r}: holds another number of bytes than it declares")
    return data
