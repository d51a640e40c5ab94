"""Where a folder's ledger lies and how a run holds it: on this machine, or on an object store.

On this machine the ledger is a file that SQLite itself writes, behind a file lock. On a store it
is the same file as an object, which the run copies into memory and writes back whole:

* Every write replaces the version that this run saw last. Where another run has written since, its
  entries are merged with this run's, and the write is tried again: neither loses any, whatever
  happened to locks and clocks.
* An output is noted as begun there before it is made. So a run that ends anywhere leaves it
  pending, never unknown.
* A lease keeps a second run away meanwhile.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Protocol

from scorer.errors import OutputError, ScorerError, UsageError
from scorer.files import output_errors
from scorer.jobs.ledger.file import FILE, Ledger, copied_ledger, ledger_key, open_ledger
from scorer.jobs.ledger.lease import FILE as LEASE_FILE
from scorer.jobs.ledger.lease import Lease, leased, now
from scorer.jobs.publish import LocalPlace, Place, RemotePlace, locked
from scorer.tables.conditional import Changed, ConditionalFile, conditional_files
from scorer.tables.remote import RemoteFile, is_url, remote_file

LOCK = ".scorer.lock"
#: seconds after which finished outputs are written to a store's ledger
SAVE_S = 30.0
#: Outputs of a ledger for each that is begun at a time. A write carries them all, so a run over any
#: number of outputs writes, for each, about so many rows.
ROWS_A_WRITE = 256
TRIES = 10
PAUSE_S = 0.05


class Keeper(Protocol):
    """A folder's ledger while a run makes the folder's outputs.

    ahead   how many outputs to begin at a time
    """

    @property
    def ledger(self) -> Ledger: ...

    @property
    def ahead(self) -> int: ...

    def check(self) -> None:
        """Raise OutputError where the folder is not this run's any longer."""
        ...

    def save(self) -> None:
        """Have the ledger where the next run looks for it. Raises OutputError."""
        ...

    def save_soon(self) -> None:
        """The same, if it was a while ago."""
        ...


class LedgerFolder(Protocol):
    """A folder of outputs, and its ledger."""

    def key(self, output: Place) -> str:
        """The name under which the ledger keeps an output."""
        ...

    def exists(self, output: Place) -> bool:
        """Whether an output is there."""
        ...

    def seen(self, run_id: str) -> AbstractContextManager[Keeper]:
        """The ledger for a look; what is changed may be forgotten, and nothing is made."""
        ...

    def held(self, run_id: str) -> AbstractContextManager[Keeper]:
        """The ledger, held against other runs. Raises OutputBusy where one has it."""
        ...


def ledger_folder(name: str | None) -> LedgerFolder:
    """The folder with this name. Raises UsageError where it cannot hold a ledger."""
    if name is None:
        raise UsageError(
            "--incremental keeps its ledger beside the outputs: name a folder as --output"
        )
    return StoreFolder(remote_file(name)) if is_url(name) else LocalFolder(Path(name))


@dataclass(frozen=True)
class LocalKeeper:
    """Keeps a ledger that SQLite writes to the disk with every change, or one in memory."""

    ledger: Ledger
    ahead: int = 1

    def check(self) -> None:
        """A file lock is not lost."""

    def save(self) -> None:
        self.ledger.settle()

    def save_soon(self) -> None:
        self.ledger.settle()


@dataclass(frozen=True)
class LocalFolder:
    """A folder on this machine."""

    path: Path

    def key(self, output: Place) -> str:
        assert isinstance(output, LocalPlace)
        return ledger_key(output.path.relative_to(self.path))

    def exists(self, output: Place) -> bool:
        return output.exists()

    @contextmanager
    def seen(self, run_id: str) -> Iterator[Keeper]:
        path = self.path / FILE
        copied = open_ledger(path, run_id) if path.exists() else copied_ledger(b"", FILE, run_id)
        with copied as ledger:
            yield LocalKeeper(ledger)

    @contextmanager
    def held(self, run_id: str) -> Iterator[Keeper]:
        with output_errors(self.path):
            self.path.mkdir(parents=True, exist_ok=True)
        busy = f"{self.path}: another incremental run is using it"
        with locked(self.path / LOCK, busy), open_ledger(self.path / FILE, run_id) as ledger:
            yield LocalKeeper(ledger)


class StoreKeeper:
    """Keeps a ledger as a file on a store, in whose version `version` it was read."""

    def __init__(
        self, ledger: Ledger, file: ConditionalFile, version: str | None, lease: Lease
    ) -> None:
        self.ledger = ledger
        self._file = file
        self._version = version
        self._lease = lease
        self._saved_at = now()

    @property
    def ahead(self) -> int:
        return 1 + len(self.ledger) // ROWS_A_WRITE

    def check(self) -> None:
        self._lease.check()

    def save(self) -> None:
        if not self.ledger.before:
            return
        for tried in range(TRIES):
            time.sleep(tried * PAUSE_S)
            try:
                self._version = self._file.write(self.ledger.content(), self._version)
            except Changed:
                self._take_in()
            else:
                self.ledger.settle()
                self._saved_at = now()
                return
        raise OutputError(
            f"{self._file.name}: cannot be written: other runs were faster {TRIES} times; "
            "run it again"
        )

    def save_soon(self) -> None:
        if now() - self._saved_at >= SAVE_S:
            self.save()

    def _take_in(self) -> None:
        """Merge what others have written; where they have removed the file, write it anew."""
        found = self._file.read()
        self._version = None if found is None else found.version
        if found is not None:
            self.ledger.rebase(found.content, self._file.name)


class StoreFolder:
    """A folder on an object store. Raises UsageError where the store is not S3-compatible."""

    def __init__(self, folder: RemoteFile) -> None:
        self._folder = folder
        files = conditional_files(folder)
        self._ledger, self._lease = files(FILE), files(LEASE_FILE)

    def key(self, output: Place) -> str:
        assert isinstance(output, RemotePlace)
        return output.file.path.removeprefix(f"{self._folder.path.rstrip('/')}/")

    def exists(self, output: Place) -> bool:
        assert isinstance(output, RemotePlace)
        return output.file.path in self._there

    @cached_property
    def _there(self) -> frozenset[str]:
        """The files of the folder: one list, and not a question for each output."""
        return frozenset(file.path for file in self._folder.walk(missing_ok=True))

    @contextmanager
    def seen(self, run_id: str) -> Iterator[Keeper]:
        found = self._ledger.read()
        content = b"" if found is None else found.content
        with copied_ledger(content, self._ledger.name, run_id) as ledger:
            yield LocalKeeper(ledger)

    @contextmanager
    def held(self, run_id: str) -> Iterator[Keeper]:
        with leased(self._lease, self._folder.url, run_id) as lease:
            found = self._ledger.read()
            content, version = (b"", None) if found is None else (found.content, found.version)
            with copied_ledger(content, self._ledger.name, run_id) as ledger:
                keeper = StoreKeeper(ledger, self._ledger, version, lease)
                try:
                    yield keeper
                except BaseException:
                    with suppress(ScorerError):  # the first error tells more
                        keeper.save()
                    raise
                keeper.save()
