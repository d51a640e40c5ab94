"""The folders in which compiled kernels are kept, and which of them are trusted.

A kernel on disk is machine code inside a pickle: whoever can write one runs code as whoever loads
it. So a folder and a file are read only where root or this user owns them and nobody else can
write to them; links are not followed. The checks are made on what was opened, not on a path.

Kernels are looked for in every place, in this order, and written to the first that takes them:

    $SCORER_CACHE_DIR    the folder that the user or the image names
    $NUMBA_CACHE_DIR     the folder that Numba's other users name
    beside the package   in __pycache__, like Python's own compiled files
    the user's cache     ~/.cache/scorer, or what the system has instead
    a temporary folder   /tmp/scorer-<user id>, for this user alone
"""

from __future__ import annotations

import logging
import os
import secrets
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from scorer.homes import user_folder

log = logging.getLogger(__name__)

ENVIRONMENT = "SCORER_CACHE_DIR"
#: below a folder that holds other things too
FOLDER = "kernels"
#: what all kernels of a folder may number; the oldest go first
MOST_FILES = 256
MOST_BYTES = 64 << 20

_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH


class Untrusted(Exception):
    """Someone else could have written this; says who or how."""


_confined_to: list[Place] = []


@dataclass(frozen=True)
class Place:
    """A folder for kernels. `private`: for this user alone; `named`: the user asked for it."""

    path: Path
    private: bool = False
    named: bool = False


def places() -> list[Place]:
    """Where kernels may lie, the first choice first."""
    if _confined_to:
        return _confined_to[-1:]
    candidates = [
        Place(Path(folder).absolute() / FOLDER, named=True)
        for name in (ENVIRONMENT, "NUMBA_CACHE_DIR")
        if (folder := os.environ.get(name))
    ]
    candidates.append(Place(Path(__file__).resolve().parents[1] / "__pycache__" / FOLDER))
    home = user_folder("cache")
    if home is not None:
        candidates.append(Place(home / FOLDER))
    with suppress(FileNotFoundError):  # this machine has no temporary folder
        candidates.append(
            Place(Path(tempfile.gettempdir()) / f"scorer-{os.geteuid()}", private=True)
        )
    return candidates


@contextmanager
def confined(place: Place) -> Iterator[None]:
    """Within, kernels are read from and written to this one place."""
    _confined_to.append(place)
    try:
        yield
    finally:
        _confined_to.pop()


def read(name: str) -> bytes | None:
    """The content of the file `name` in the first trusted place that has it."""
    for place in places():
        with _opened(place) as folder:
            content = _read(name, folder, place) if folder is not None else None
        if content is not None:
            return content
    return None


def holds(name: str) -> bool:
    """Whether `read` would find such a file. It may turn out to be damaged."""
    return any(_has(place, name) for place in places())


def write(name: str, content: bytes) -> Path | None:
    """Keep a file in the first place that takes it; None where none does."""
    for place in places():
        with suppress(OSError), _opened(place, create=True) as folder:
            if folder is not None:
                _write(name, content, folder)
                _prune(folder)
                return place.path / name
    return None


def writable(place: Place) -> bool:
    """Whether this user can keep kernels in a place. Creates the folder where it is not there."""
    name = f".{secrets.token_hex(8)}"
    with suppress(OSError), _opened(place, create=True) as folder:
        if folder is not None:
            os.close(os.open(name, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600, dir_fd=folder))
            os.unlink(name, dir_fd=folder)
            return True
    return False


@contextmanager
def _opened(place: Place, *, create: bool = False) -> Iterator[int | None]:
    """A descriptor of the folder; None where it is not there or not trusted."""
    folder = None
    try:
        if create:
            _create(place)
        folder = os.open(place.path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        _check(os.fstat(folder), private=place.private)
    except Untrusted as fault:
        _say_untrusted(place.path, str(fault), place.named)
        os.close(folder)  # type: ignore[arg-type] # it was open when it was checked
        folder = None
    except OSError:
        folder = None
    try:
        yield folder
    finally:
        if folder is not None:
            os.close(folder)


def _create(place: Place) -> None:
    """Make the folder, which others may read unless it is private."""
    if place.path.is_dir():
        return
    if not place.private:
        place.path.parent.mkdir(parents=True, exist_ok=True)
    place.path.mkdir(mode=0o700)
    if not place.private:
        place.path.chmod(0o755)


def _check(status: os.stat_result, *, private: bool = False) -> None:
    """Raise Untrusted unless root or this user alone can write to what was opened."""
    me = os.geteuid()
    if status.st_uid not in ((me,) if private else (0, me)):
        raise Untrusted(f"the user {status.st_uid} owns it")
    if status.st_mode & _OTHERS_WRITE or (private and status.st_mode & 0o077):
        raise Untrusted(f"its mode {stat.S_IMODE(status.st_mode):o} lets other users in")


@cache
def _say_untrusted(path: Path, why: str, named: bool) -> None:
    """Once for each folder: a warning where the user named it, else a note for those who debug."""
    level = logging.WARNING if named else logging.DEBUG
    log.log(level, "%s: compiled kernels are neither read from nor written to it: %s", path, why)


def _has(place: Place, name: str) -> bool:
    with _opened(place) as folder:
        return folder is not None and os.access(name, os.R_OK, dir_fd=folder)


def _read(name: str, folder: int, place: Place) -> bytes | None:
    try:
        file = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=folder)
    except OSError:
        return None
    with os.fdopen(file, "rb") as opened:
        status = os.fstat(file)
        try:
            _check(status)
        except Untrusted as fault:
            _say_untrusted(place.path / name, str(fault), place.named)
            return None
        if not stat.S_ISREG(status.st_mode) or status.st_size > MOST_BYTES:
            return None
        return opened.read()


def _write(name: str, content: bytes, folder: int) -> None:
    """Write a file that others may read, whole or not at all."""
    part = f".{name}.{secrets.token_hex(8)}"
    file = os.open(part, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600, dir_fd=folder)
    try:
        with os.fdopen(file, "wb") as opened:
            opened.write(content)
            os.fchmod(file, 0o644)
        os.replace(part, name, src_dir_fd=folder, dst_dir_fd=folder)
    except BaseException:
        os.unlink(part, dir_fd=folder)
        raise


def _prune(folder: int) -> None:
    """Remove the oldest files beyond MOST_FILES: kernels of earlier versions."""
    names = os.listdir(folder)
    if len(names) <= MOST_FILES:
        return
    ages = {}
    for name in names:
        with suppress(FileNotFoundError):  # another process removed it
            ages[name] = os.stat(name, dir_fd=folder, follow_symlinks=False).st_mtime_ns
    for name in sorted(ages, key=ages.__getitem__)[:-MOST_FILES]:
        with suppress(FileNotFoundError):
            os.unlink(name, dir_fd=folder)
