"""What `--incremental` has done: a SQLite file in the output folder, one row an output.

An output is made again when its input, the model or a setting changed, or when it is gone; never
otherwise, however often the command runs. A row is `pending` from before its output is published
until after, so that a crash in between is known for what it is.
"""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from scorer.errors import InputError
from scorer.jobs.identity import difference
from scorer.tables import Source

FILE = ".scorer-ledger.sqlite"
SCHEMA_VERSION = 1
HASH_BYTES = 1 << 20
# Another release or engine gives the same scores, so neither is a reason to make an output again.
NO_REASON = ("scorer", "engine")

_SCHEMA = """
create table outputs (
    output       text primary key,
    input        text not null,
    fingerprint  text not null,
    sha256       text,
    identity     text not null,
    state        text not null check (state in ('pending', 'done')),
    summary      text,
    run_id       text not null,
    changed_at   text not null
) strict
"""


def ledger_key(output: Path) -> str:
    """The name under which the ledger keeps an output, given by its path below the folder.

    SQLite's text is UTF-8. A path that is not gets its bytes escaped, behind a slash, with which
    no other path below the folder begins.
    """
    try:
        output.as_posix().encode()
    except UnicodeEncodeError:
        raw = os.fsencode(output).replace(b"\\", b"\\\\")
        return "/" + raw.decode("utf-8", "backslashreplace")
    return output.as_posix()


@dataclass(frozen=True)
class Entry:
    """What the ledger knows of one output. `failure`: why the run that was to make it did not."""

    input: str
    fingerprint: dict[str, Any]
    sha256: str | None
    identity: dict[str, Any]
    state: str
    failure: str = ""


class Row(NamedTuple):
    """A row of the table, cell by cell."""

    output: str
    input: str
    fingerprint: str
    sha256: str | None
    identity: str
    state: str
    summary: str | None
    run_id: str
    changed_at: str


def merged(before: Row | None, mine: Row, theirs: Row | None) -> Row:
    """The row of an output that two runs may have changed since it was `before`.

    The same input, model and settings give the same bytes: the output is done when either is.
    Otherwise nobody knows whose bytes are there, or will be: it is pending, so that it is made
    again. The other run meets a row that is not its own, so it does not call it done either.
    """
    if theirs in (None, before, mine):
        return mine
    assert theirs is not None
    if mine == before:
        return theirs
    if (mine.fingerprint, mine.identity) == (theirs.fingerprint, theirs.identity):
        return mine if mine.state == "done" else theirs
    return mine._replace(sha256=None, state="pending", summary=None)


class Ledger:
    """An open ledger. Only one run at a time should hold its folder.

    `before` are the rows as they were, None: there was none, of the outputs that were changed
    since `settle`.
    """

    def __init__(self, connection: sqlite3.Connection, run_id: str) -> None:
        self._db = connection
        self._run_id = run_id
        self.before: dict[str, Row | None] = {}
        self._begun: dict[str, Row] = {}

    def __len__(self) -> int:
        (count,) = self._db.execute("select count(*) from outputs").fetchone()
        return int(count)

    def row(self, output: str) -> Row | None:
        """The row of an output."""
        row = self._db.execute("select * from outputs where output = ?", (output,)).fetchone()
        return None if row is None else Row(*row)

    def put(self, row: Row) -> None:
        """Make `row` the row of its output."""
        self.before.setdefault(row.output, self.row(row.output))
        cells = ", ".join("?" * len(row))
        with self._db:
            self._db.execute(f"insert or replace into outputs values ({cells})", row)

    def settle(self) -> None:
        """Note that the ledger is where it belongs, with all that was changed."""
        self.before.clear()

    def content(self) -> bytes:
        """The ledger as a SQLite file."""
        return self._db.serialize()

    def rebase(self, content: bytes, name: str) -> None:
        """Go on from another run's copy of the ledger, with what this one has changed since.

        Raises InputError where that, the content of the file `name`, is not a ledger.
        """
        changes = [(before, self.row(output)) for output, before in self.before.items()]
        self.settle()
        with _ledger_errors(name):
            self._db.deserialize(content)
            _prepare(self._db, name)
            for before, mine in changes:
                if mine is not None:
                    self.put(merged(before, mine, self.row(mine.output)))

    def entry(self, output: str) -> Entry | None:
        """What is known of the output at this path below the folder."""
        row = self._db.execute(
            "select input, fingerprint, sha256, identity, state, summary from outputs "
            "where output = ?",
            (output,),
        ).fetchone()
        if row is None:
            return None
        failure = _mapping(row[5]).get("error", "") if row[4] == "pending" and row[5] else ""
        return Entry(row[0], _mapping(row[1]), row[2], _mapping(row[3]), row[4], str(failure))

    def reason(self, output: str, source: Source, identity: Mapping[str, Any], there: bool) -> str:
        """Why `output` is to be made (again); empty if it is not. `there`: the file exists."""
        entry = self.entry(output)
        if entry is None:
            return "new"
        if entry.state == "pending":
            return f"failed before: {entry.failure}" if entry.failure else "interrupted before"
        changed = self._input_change(output, entry, source)
        if changed:
            return changed
        if not there:
            return "its output is gone"
        return difference(_relevant(entry.identity), _relevant(identity))

    def _input_change(self, output: str, entry: Entry, source: Source) -> str:
        now = source.fingerprint()
        if now == entry.fingerprint:
            return ""
        touched = now.get("size") == entry.fingerprint.get("size") and entry.sha256 is not None
        if touched and source.path is not None and file_sha256(source.path) == entry.sha256:
            row = self.row(output)
            assert row is not None
            self.put(row._replace(fingerprint=json.dumps(now)))
            return ""
        return f"changed: {difference(entry.fingerprint, now)}"

    def begin(self, output: str, source: Source, identity: Mapping[str, Any]) -> None:
        """Note that `output` is about to be published."""
        fingerprint, known = json.dumps(source.fingerprint()), json.dumps(dict(identity))
        begun = (source.name, fingerprint, None, known, "pending", None, self._run_id, _now())
        row = self._begun[output] = Row(output, *begun)
        self.put(row)

    def finish(self, output: str, source: Source, summary: Mapping[str, Any]) -> None:
        """Note that `output`, which was begun, is there."""
        sha256 = file_sha256(source.path) if source.path is not None else None
        done = self._begun[output]._replace(state="done", sha256=sha256)
        self._end(done, summary)

    def fail(self, output: str, why: str) -> None:
        """Note why `output`, which was begun, was not made."""
        self._end(self._begun[output], {"error": why})

    def _end(self, row: Row, summary: Mapping[str, Any]) -> None:
        begun = self._begun.pop(row.output)
        ended = row._replace(summary=json.dumps(dict(summary)), changed_at=_now())
        self.put(merged(begun, ended, self.row(row.output)))  # `rebase` may have brought another's

    def gone(self, outputs: Iterable[str]) -> list[str]:
        """The inputs of known outputs that are not among `outputs`: removed since."""
        there = set(outputs)
        rows = self._db.execute("select output, input from outputs order by output").fetchall()
        return [source for output, source in rows if output not in there]


@contextmanager
def open_ledger(path: Path, run_id: str) -> Iterator[Ledger]:
    """The ledger at `path`, begun if there is none.

    Raises InputError for a file that is not a ledger.
    """
    with _ledger_errors(str(path)), closing(sqlite3.connect(path)) as connection:
        _prepare(connection, str(path))
        yield Ledger(connection, run_id)


@contextmanager
def copied_ledger(content: bytes, name: str, run_id: str) -> Iterator[Ledger]:
    """A copy in memory of the ledger whose SQLite file has this content; b"": an empty one.

    Raises InputError that names it where that is not a ledger.
    """
    with _ledger_errors(name), closing(sqlite3.connect(":memory:")) as connection:
        if content:
            connection.deserialize(content)
        _prepare(connection, name)
        yield Ledger(connection, run_id)


@contextmanager
def _ledger_errors(name: str) -> Iterator[None]:
    try:
        yield
    except (sqlite3.Error, UnicodeError) as error:
        raise InputError(
            f"{name}: cannot be used as a ledger: {error}; without it, everything is scored again"
        ) from error


def _prepare(connection: sqlite3.Connection, name: str) -> None:
    """Begin an empty ledger; raise where the file is not a ledger, or a damaged one."""
    connection.execute("pragma trusted_schema = off")
    connection.execute("pragma cell_size_check = on")
    (version,) = connection.execute("pragma user_version").fetchone()
    if version == 0:
        with connection:
            connection.execute(_SCHEMA)
            connection.execute(f"pragma user_version = {SCHEMA_VERSION}")
    elif version != SCHEMA_VERSION:
        raise InputError(f"{name}: a ledger of version {version}, not {SCHEMA_VERSION}")
    elif _parts(connection) != _expected_parts():  # a view or a trigger would run as we read
        raise sqlite3.DatabaseError("it holds other tables")
    (check,) = connection.execute("pragma quick_check(1)").fetchone()
    if check != "ok":
        raise sqlite3.DatabaseError(str(check).splitlines()[-1])


def _parts(connection: sqlite3.Connection) -> list[tuple[Any, ...]]:
    return connection.execute("select type, name, tbl_name, sql from sqlite_master").fetchall()


def _expected_parts() -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.execute(_SCHEMA)
        return _parts(connection)


def _mapping(text: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except (ValueError, TypeError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise sqlite3.DatabaseError("it contains tables or rows that no run has written")
    return value


def file_sha256(path: Path) -> str:
    """SHA-256 of a file's bytes."""
    hasher = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(HASH_BYTES):
            hasher.update(chunk)
    return hasher.hexdigest()


def _relevant(identity: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in identity.items() if key not in NO_REASON}


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
