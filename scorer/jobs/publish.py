"""An output is there whole or not at all: written beside its target, synced, renamed into place.

`.<name>.part` holds the output while it is written, `.<name>.journal` the scores of what is done
(see journal.py), and `.<name>.lock` keeps other runs off it. All lie in the target's folder, so
that the rename stays within one file system, and are gone when the output is there.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol

from filelock import FileLock, Timeout

from scorer.errors import OutputBusy, OutputError, ScorerError
from scorer.tables.remote import RemoteFile

BUFFER_BYTES = 1 << 20


class Place(Protocol):
    """Where a finished file goes: a local path, or a file on another file system."""

    name: str

    def exists(self) -> bool: ...

    def publish(self, part: Path) -> None:
        """Make the file from `part`, at once and to last; `part` is gone then."""
        ...

    def remove(self) -> None: ...


class LocalPlace:
    """A path on this machine."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.name = str(path)

    def exists(self) -> bool:
        return self.path.exists()

    def publish(self, part: Path) -> None:
        with explained(self.name):
            part.replace(self.path)
            sync_folder(self.path.parent)

    def remove(self) -> None:
        with explained(self.name):
            self.path.unlink(missing_ok=True)


class RemotePlace:
    """A file that a URL names: uploaded when it is finished."""

    def __init__(self, file: RemoteFile) -> None:
        self._file = file
        self.name = file.url

    def exists(self) -> bool:
        return self._file.exists()

    def publish(self, part: Path) -> None:
        self._file.upload(part)
        part.unlink()

    def remove(self) -> None:
        self._file.remove()


@dataclass(frozen=True)
class Target:
    """Where one output and its rejects go; what lies on disk during the run is named by `work`."""

    output: Place
    rejects: Place
    work: Path

    @property
    def name(self) -> str:
        return self.output.name

    def _beside(self, suffix: str) -> Path:
        return self.work.with_name(f".{self.work.name}{suffix}")

    @property
    def part(self) -> Path:
        return self._beside(".part")

    @property
    def lock(self) -> Path:
        return self._beside(".lock")

    @property
    def journal(self) -> Path:
        return self._beside(".journal")

    @property
    def rejects_part(self) -> Path:
        return self._beside(".rejects.part")

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the target against other runs. Raises OutputBusy where one has it."""
        with explained(self.name):
            self.work.parent.mkdir(parents=True, exist_ok=True)
        with locked(self.lock, f"{self.name}: another run is writing it"):
            yield


def local_target(path: Path) -> Target:
    rejects = path.with_name(f"{path.name}.rejects.jsonl")
    return Target(LocalPlace(path), LocalPlace(rejects), path)


def remote_target(file: RemoteFile) -> Target:
    """A URL as the target: the work lies in this user's state folder, under the URL's digest."""
    import platformdirs

    rejects = file.child(f"{file.path}.rejects.jsonl")
    key = hashlib.sha256(file.url.encode()).hexdigest()[:16]
    folder = platformdirs.user_state_path("scorer") / "uploads" / key
    work = folder / file.path.rpartition("/")[2]
    return Target(RemotePlace(file), RemotePlace(rejects), work)


@contextmanager
def locked(path: Path, busy: str) -> Iterator[None]:
    """Hold the lock file `path`, without waiting; it is gone afterwards."""
    lock = FileLock(path)
    with explained(path):
        try:
            lock.acquire(timeout=0)
        except Timeout:
            raise OutputBusy(f"{busy}: wait for it to end") from None
    try:
        yield
    finally:
        # Unlinked while held: who opens the name from now on makes a new file and locks that.
        path.unlink(missing_ok=True)
        lock.release()


@contextmanager
def explained(path: Path | str) -> Iterator[None]:
    """Turn the system's refusals to write `path` into OutputErrors that name it."""
    try:
        yield
    except ScorerError:
        raise
    except OSError as error:
        if error.errno is None:
            raise
        reason = os.strerror(error.errno)
        raise OutputError(f"{path}: cannot be written: {reason}") from error


@contextmanager
def staged(part: Path, place: Place) -> Iterator[BinaryIO]:
    """A file that goes to `place` when the block ends, and nowhere when it raises."""
    try:
        with explained(place.name), part.open("wb", buffering=BUFFER_BYTES) as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        place.publish(part)
    except BaseException:
        with suppress(OSError):
            part.unlink(missing_ok=True)
        raise


def sync_folder(folder: Path) -> None:
    """Make the names in `folder` last through a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
