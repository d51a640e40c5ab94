"""An output is there whole or not at all: written beside its target, synced, renamed into place.

`.<name>.part` holds the output while it is written, `.<name>.journal` the scores of what is done
(see journal.py), and `.<name>.lock` keeps other runs off it. All lie in the target's folder, so
that the rename stays within one file system, and are gone when the output is there.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from filelock import FileLock, Timeout

from scorer.errors import OutputBusy, OutputError, ScorerError

BUFFER_BYTES = 1 << 20


@dataclass(frozen=True)
class Target:
    """Where one output goes, and the names of what lies beside it during the run."""

    path: Path

    def _beside(self, suffix: str) -> Path:
        return self.path.with_name(f".{self.path.name}{suffix}")

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
    def rejects(self) -> Path:
        return self.path.with_name(f"{self.path.name}.rejects.jsonl")

    @property
    def rejects_part(self) -> Path:
        return self._beside(".rejects.part")

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the target against other runs. Raises OutputBusy where one has it."""
        with locked(self.lock, f"{self.path}: another run is writing it"):
            yield


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
def staged(part: Path, path: Path) -> Iterator[BinaryIO]:
    """A file that becomes `path` when the block ends, and nothing when it raises."""
    try:
        with explained(path), part.open("wb", buffering=BUFFER_BYTES) as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        with explained(path):
            part.replace(path)
            sync_folder(path.parent)
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
