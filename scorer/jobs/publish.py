"""An output is there whole or not at all: written beside its target, synced, renamed into place.

`.<name>.part` holds the output while it is written, `.<name>.journal` the scores of what is done
(see journal.py), `.<name>.FIRST-END.scores` those of a part of a file that workers split, and
`.<name>.lock` keeps other runs off it. `.<name>.KEY.parts` holds the parts of an output that is to
be a folder (see staged.py). All lie in the target's folder, so that the rename stays within one
file system, and are gone when the output is there.

Standard output, devices and named pipes are streams: they take the rows as they come, and nothing
lies beside them.
"""

from __future__ import annotations

import glob
import hashlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol

from filelock import FileLock, Timeout

from scorer.errors import OutputBusy, OutputError
from scorer.files import (
    follow_link,
    open_stream,
    output_errors,
    regular_target,
    rename,
    temporary,
)
from scorer.homes import user_folder
from scorer.tables.remote import RemoteFile
from scorer.tables.source import shown


class Place(Protocol):
    """Where a finished file goes: a local path, or a file on another file system."""

    name: str

    def exists(self) -> bool: ...

    def check(self) -> None:
        """Raise OutputError where no file can be."""
        ...

    def publish(self, part: Path) -> None:
        """Make the file from `part`, at once and to last; `part` is gone then."""
        ...

    def remove(self) -> None: ...


class LocalPlace:
    """A path on this machine. Where it is a symbolic link, the file that the link names."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.name = shown(path)

    def exists(self) -> bool:
        return self.path.exists()

    def check(self) -> None:
        self._file()

    def _file(self) -> Path:
        target = regular_target(self.path)
        if target is None:
            raise OutputError(f"{self.name}: is a device or a named pipe: give --output a file")
        return target

    def publish(self, part: Path) -> None:
        with output_errors(self.name):
            rename(part, self._file())

    def remove(self) -> None:
        with output_errors(self.name):
            follow_link(self.path).unlink(missing_ok=True)


@dataclass(frozen=True)
class Stream:
    """What takes rows as they come: standard output, or the device or named pipe at `path`."""

    name: str = "stdout"
    path: Path | None = None

    @contextmanager
    def opened(self) -> Iterator[BinaryIO]:
        """The open stream, flushed when the block ends. Raises OutputError, OutputClosed."""
        with output_errors(self.name):
            if self.path is None:
                yield sys.stdout.buffer
                sys.stdout.buffer.flush()
                return
            with open_stream(self.path) as stream:
                yield stream
                stream.flush()


class RemotePlace:
    """A file that a URL names: uploaded when it is finished."""

    def __init__(self, file: RemoteFile) -> None:
        self.file = file
        self.name = file.url

    def exists(self) -> bool:
        return self.file.exists()

    def check(self) -> None:
        """A URL says nothing of itself before it is written."""

    def publish(self, part: Path) -> None:
        self.file.upload(part)
        part.unlink()

    def remove(self) -> None:
        self.file.remove()


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
    def is_interrupted(self) -> bool:
        """Whether a run was stopped before it had made the output, and can be resumed."""
        return self.journal.exists() or any(True for _ in self.parts_folders())

    def part_journal(self, part: str) -> Path:
        """Where the scores of a part of the input are recorded."""
        return self._beside(f".{part}.scores")

    def part_journals(self) -> Iterator[Path]:
        """Those that are there."""
        return self.work.parent.glob(f".{glob.escape(self.work.name)}.*-*.scores")

    def parts_folder(self, key: str) -> Path:
        """Where the parts of a folder wait until all are there, of the run that `key` tells."""
        return self._beside(f".{key}.parts")

    def parts_folders(self) -> Iterator[Path]:
        """Those that are there."""
        return self.work.parent.glob(f".{glob.escape(self.work.name)}.*.parts")

    @property
    def rejects_part(self) -> Path:
        return self._beside(".rejects.part")

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the target against other runs. Raises OutputBusy where one has it."""
        with output_errors(self.name):
            self.work.parent.mkdir(parents=True, exist_ok=True)
        with locked(self.lock, f"{self.name}: another run is writing it"):
            yield


def local_target(path: Path) -> Target:
    rejects = path.with_name(f"{path.name}.rejects.jsonl")
    return Target(LocalPlace(path), LocalPlace(rejects), follow_link(path))


def remote_target(file: RemoteFile) -> Target:
    """A URL as the target: the work lies in this user's state folder, under the URL's digest.

    Raises OutputError where the user has none.
    """
    state = user_folder("state")
    if state is None:
        raise OutputError(
            f"{file.url}: there is no folder for an upload: this user has no home; "
            "set XDG_STATE_HOME to a folder that the user can write to"
        )
    rejects = file.child(f"{file.path}.rejects.jsonl")
    key = hashlib.sha256(file.url.encode()).hexdigest()[:16]
    work = state / "uploads" / key / file.path.rpartition("/")[2]
    return Target(RemotePlace(file), RemotePlace(rejects), work)


@contextmanager
def locked(path: Path, busy: str) -> Iterator[None]:
    """Hold the lock file `path`, without waiting; it is gone afterwards."""
    lock = FileLock(path)
    with output_errors(path):
        try:
            lock.acquire(timeout=0)
        except Timeout:
            raise OutputBusy(f"{busy}: wait for it to end") from None
    try:
        with temporary(path):
            yield
    finally:
        # Unlinked while held: who opens the name from now on makes a new file and locks that. Who
        # has opened the old one finds it unlinked when it gets the lock, and starts over: filelock
        # does so from 3.29.5.
        path.unlink(missing_ok=True)
        lock.release()
