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
from typing import Any

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


class Ledger:
    """An open ledger. Only one run at a time may hold it (the output folder's lock)."""

    def __init__(self, connection: sqlite3.Connection, run_id: str) -> None:
        self._db = connection
        self._run_id = run_id

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
            with self._db:
                self._db.execute(
                    "update outputs set fingerprint = ? where output = ?",
                    (json.dumps(now), output),
                )
            return ""
        return f"changed: {difference(entry.fingerprint, now)}"

    def begin(self, output: str, source: Source, identity: Mapping[str, Any]) -> None:
        """Note that `output` is about to be published."""
        row = (output, source.name, json.dumps(source.fingerprint()), json.dumps(dict(identity)))
        with self._db:
            self._db.execute(
                "insert or replace into outputs values (?, ?, ?, null, ?, 'pending', null, ?, ?)",
                (*row, self._run_id, _now()),
            )

    def finish(self, output: str, source: Source, summary: Mapping[str, Any]) -> None:
        """Note that `output` is there."""
        sha256 = file_sha256(source.path) if source.path is not None else None
        with self._db:
            self._db.execute(
                "update outputs set state = 'done', sha256 = ?, summary = ?, changed_at = ? "
                "where output = ?",
                (sha256, json.dumps(dict(summary)), _now(), output),
            )

    def fail(self, output: str, why: str) -> None:
        """Note why `output`, which was begun, was not made."""
        with self._db:
            self._db.execute(
                "update outputs set summary = ?, changed_at = ? where output = ?",
                (json.dumps({"error": why}), _now(), output),
            )

    def gone(self, outputs: Iterable[str]) -> list[str]:
        """The inputs of known outputs that are not among `outputs`: removed since."""
        there = set(outputs)
        rows = self._db.execute("select output, input from outputs order by output").fetchall()
        return [source for output, source in rows if output not in there]


@contextmanager
def open_ledger(path: Path | None, run_id: str) -> Iterator[Ledger]:
    """The ledger at `path`, begun if there is none; None: an empty one that is kept nowhere.

    Raises InputError for a file that is not a ledger.
    """
    try:
        with closing(sqlite3.connect(path or ":memory:")) as connection:
            _prepare(connection, path)
            yield Ledger(connection, run_id)
    except (sqlite3.Error, UnicodeError) as error:
        raise InputError(
            f"{path}: cannot be used as a ledger: {error}; without it, everything is scored again"
        ) from error


def _prepare(connection: sqlite3.Connection, path: Path | None) -> None:
    """Begin an empty ledger; raise where the file is not a ledger, or a damaged one."""
    connection.execute("pragma trusted_schema = off")
    connection.execute("pragma cell_size_check = on")
    (version,) = connection.execute("pragma user_version").fetchone()
    if version == 0:
        with connection:
            connection.execute(_SCHEMA)
            connection.execute(f"pragma user_version = {SCHEMA_VERSION}")
    elif version != SCHEMA_VERSION:
        raise InputError(f"{path}: a ledger of version {version}, not {SCHEMA_VERSION}")
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
