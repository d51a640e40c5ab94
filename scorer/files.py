"""Reads small untrusted files up to a limit, and writes files whole or not at all.

Writing replaces regular files only. A symbolic link stays, and the file that it names is replaced
in that file's own folder. A device, a named pipe or an open file of this process (/dev/stdout)
takes the bytes as they come. Folders, disks and sockets are refused.
"""

from __future__ import annotations

import errno
import io
import os
import re
import stat
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO, cast

from scorer.errors import OutputClosed, OutputError, ScorerError, UsageError

BUFFER_BYTES = 1 << 20
OUT_BYTES = 4 << 20
MAX_LINKS = 40


def read_regular(path: Path, most: int) -> bytes:
    """The bytes of a regular file that holds at most `most`.

    Never waits (a pipe is refused, not read) and never reads a device. Raises OSError whose
    `strerror` says why.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise OSError(errno.EINVAL, "not a regular file", str(path))
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            data = file.read(min(status.st_size, most) + 1)
    finally:
        os.close(descriptor)
    if len(data) > most:
        raise OSError(errno.EFBIG, f"larger than {most >> 20} MiB", str(path))
    return data


def with_name_of_its_own(path: Path) -> Path:
    """`path`, in full where it has no name of its own, as `.` and `..` have none."""
    return path.resolve() if path.name in ("", "..") else path


#: files that this process leaves only if it ends without cleaning up
_temporary: set[Path] = set()


@contextmanager
def temporary(path: Path) -> Iterator[None]:
    """Note that `path` is for the block to remove, see `remove_temporary`."""
    _temporary.add(path)
    try:
        yield
    finally:
        _temporary.discard(path)


def keep(path: Path) -> None:
    """Note that `path` is worth keeping after all."""
    _temporary.discard(path)


def remove_temporary() -> None:
    """Remove what open blocks would remove: for a process that ends without leaving them."""
    for path in list(_temporary):
        with suppress(OSError):
            path.unlink()


@contextmanager
def output_errors(path: Path | str) -> Iterator[None]:
    """Turn the system's refusals to write `path` into OutputErrors that name it."""
    try:
        yield
    except ScorerError:
        raise
    except BrokenPipeError as error:
        raise OutputClosed(f"{path}: its reader has closed it") from error
    except OSError as error:
        if error.errno is None:
            raise
        reason = os.strerror(error.errno)
        raise OutputError(f"{path}: cannot be written: {reason}") from error


def takes_stream(path: Path) -> bool:
    """Whether `path` is a device, a named pipe or an open file of this process."""
    try:
        return regular_target(path) is None
    except OutputError:
        return False


def follow_link(path: Path) -> Path:
    """The file that a symbolic link names, there or not; any other path as it is."""
    return Path(os.path.realpath(path)) if path.is_symlink() else path


def regular_target(path: Path) -> Path | None:
    """The regular file that writing to `path` makes or replaces; symbolic links are followed.

    None: `path` takes a stream, see `open_stream`. Raises OutputError where `path` is a folder, a
    disk or a socket.
    """
    if own_descriptor(path) is not None:
        return None
    with output_errors(path):
        try:
            mode = path.stat().st_mode
        except (FileNotFoundError, NotADirectoryError):
            mode = stat.S_IFREG  # there will be one; a missing folder shows when it is opened
    if stat.S_ISREG(mode):
        return follow_link(path)
    if stat.S_ISCHR(mode) or stat.S_ISFIFO(mode):
        return None
    kinds = {stat.S_IFDIR: "a folder", stat.S_IFBLK: "a disk", stat.S_IFSOCK: "a socket"}
    what = kinds.get(stat.S_IFMT(mode), "not a regular file")
    raise OutputError(f"{path}: is {what}: name a file to write")


def open_stream(path: Path) -> BinaryIO:
    """What takes bytes as they come, open for writing; nothing is made and nothing is cut off.

    Waits for the reader of a named pipe.
    """
    own = own_descriptor(path)
    with output_errors(path):
        descriptor = os.dup(own) if own is not None else os.open(path, os.O_WRONLY | os.O_NOCTTY)
        return os.fdopen(descriptor, "wb")


def own_descriptor(path: Path) -> int | None:
    """N where `path` is /dev/fd/N or a link to it, as /dev/stdout is."""
    own = re.compile(rf"/dev/fd|/proc/{os.getpid()}(/task/\d+)?/fd")
    for _ in range(MAX_LINKS):
        folder = Path(os.path.realpath(path.parent))
        if path.name.isdecimal() and own.fullmatch(str(folder)):
            return int(path.name)
        try:
            path = folder / (folder / path.name).readlink()
        except OSError:
            return None
    return None


@contextmanager
def write_whole(path: Path, part: Path | None = None) -> Iterator[BinaryIO]:
    """A file to write: at `path` when the block ends, nowhere when the block raises.

    `part` holds it until then, in the folder of the file that is replaced. Raises OutputError.
    """
    target = regular_target(path)
    if target is None:
        with open_stream(path) as stream, output_errors(path):
            yield stream
            stream.flush()
        return
    part = part or target.with_name(f".{target.name}.{os.getpid()}.part")
    with staged(part, str(path), lambda: rename(part, target)) as file:
        yield file


@contextmanager
def staged(part: Path, name: str, publish: Callable[[], None]) -> Iterator[BinaryIO]:
    """The new file `part`: synced and published when the block ends, removed when it raises.

    Errors call it by `name`.
    """
    with temporary(part):
        try:
            with output_errors(name):
                part.unlink(missing_ok=True)  # of a run that was killed, or a link that waits
            with output_errors(name), _new_file(part) as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            with output_errors(name):
                publish()
        except BaseException:
            with suppress(OSError):
                part.unlink(missing_ok=True)
            raise


def _new_file(path: Path) -> BinaryIO:
    return cast(BinaryIO, io.BufferedWriter(_WrittenOut(path, "xb"), BUFFER_BYTES))


class _WrittenOut(io.FileIO):
    """A file that has the system begin to write to the disk what it was given, every OUT_BYTES.

    Else all would wait until the end, and a run for it. What is written stays in memory for whoever
    reads the file next.
    """

    _size = _begun = 0

    def write(self, data: Any) -> int:
        written = super().write(data)
        self._size += written
        if self._size - self._begun >= OUT_BYTES and hasattr(os, "posix_fadvise"):
            with suppress(OSError):  # it is advice
                new = self._size - self._begun
                os.posix_fadvise(self.fileno(), self._begun, new, os.POSIX_FADV_DONTNEED)
            self._begun = self._size
        return written


def rename(part: Path, target: Path) -> None:
    """Put a finished file in its place, to last through a power cut."""
    part.replace(target)
    descriptor = os.open(target.parent, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def refuse_inputs(outputs: Iterable[Path], inputs: Iterable[Path]) -> None:
    """Raise UsageError where an output is one of the inputs, by whatever path or link."""
    taken = {identity for path in inputs if (identity := _identity(path)) is not None}
    for path in outputs:
        if _identity(path) in taken:
            raise UsageError(f"{path}: is the input itself: choose another output")


def _identity(path: Path) -> tuple[int, int] | None:
    """Device and inode of a regular file; None of anything else, and where there is none."""
    try:
        status = path.stat()
    except (OSError, ValueError):
        return None
    return (status.st_dev, status.st_ino) if stat.S_ISREG(status.st_mode) else None
