"""A run's hold on an output folder that several machines write to: a lease, renewed and expiring.

The lease is a small file in the folder. Who takes or renews it replaces the version that they saw,
so of two who try at once one succeeds. A lease that is not renewed expires: the store's own clock
says how old it is, and the holder counts its time from before it asked, so no machine's clock
matters. A holder that does not reach the store in time knows that by itself.

Entries of a ledger do not rest on the lease (see keeping.py): it saves work, not data.
"""

from __future__ import annotations

import json
import secrets
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from scorer.errors import OutputBusy, OutputError, ScorerError
from scorer.printable import printable
from scorer.tables.conditional import Changed, ConditionalFile, Versioned, check_conditions

FILE = ".scorer-lease.json"
#: seconds for which a lease holds, and after which it is renewed
LEASE_S = 120.0
RENEW_S = 30.0
#: a store rounds each of its times to the second
ROUNDING_S = 1.0
#: a stranger's lease does not hold for longer
MOST_S = 3600.0
TRIES = 5
SHOWN_CHARS = 80
CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def now() -> float:
    """Seconds on a clock that goes on while the machine sleeps."""
    return time.clock_gettime(CLOCK)


@dataclass
class Lease:
    """A hold on the folder of `file`. Only `take` makes it one."""

    file: ConditionalFile
    folder: str
    run_id: str
    _version: str | None = None
    _until: float = 0.0
    _lost: str = ""
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def take(self) -> None:
        """Take the lease, if no other run has it. Raises OutputBusy where one has.

        Raises OutputError where the store does not heed conditional writes.
        """
        for _ in range(TRIES):
            found = self.file.read()
            if found is not None:
                self._check_free(found)
            try:
                self._write(None if found is None else found.version)
            except Changed:
                continue
            return check_conditions(self.file, self._content(held=False))
        raise OutputBusy(f"{self.folder}: other incremental runs want it, too: try again later")

    def renew(self) -> None:
        """Hold the lease for as long again, if it is still this run's."""
        with self._lock:
            if self._lost:
                return
            try:
                self._write(self._version)
            except Changed:
                found = self.file.read()
                if found is None or found.version != self._version:
                    self._lost = "another run has taken it over, or its lease was removed"

    def check(self) -> None:
        """Raise OutputError where the lease was lost: another run may be at the folder."""
        why = self._lost
        if not why and now() >= self._until:
            why = f"its store could not be reached for {LEASE_S:.0f} seconds"
        if why:
            raise OutputError(
                f"{self.folder}: this run does not hold it any longer: {why}; "
                "the next run scores what is missing"
            )

    def release(self) -> None:
        """Leave the folder to others at once, if it is still this run's."""
        with self._lock, suppress(Changed, ScorerError):
            if self._version is not None and not self._lost:
                self.file.write(self._content(held=False), self._version)
            self._lost = "it has ended"

    def _write(self, version: str | None) -> None:
        asked = now()
        self._version = self.file.write(self._content(held=True), version)
        self._until = asked + LEASE_S

    def _content(self, *, held: bool) -> bytes:
        """What the lease says; no two contents are the same, so no two versions are."""
        lease = {
            "held": held,
            "run_id": self.run_id,
            "host": socket.gethostname(),
            "seconds": LEASE_S,
            "token": secrets.token_hex(8),
        }
        return json.dumps(lease).encode()

    def _check_free(self, found: Versioned) -> None:
        """Raise OutputBusy where another run holds the lease that was found."""
        lease = _parsed(found.content)
        left = _seconds(lease) + ROUNDING_S - found.age_s
        if lease.get("held") is False or left <= 0:
            return
        said = (str(lease.get(key, "?"))[:SHOWN_CHARS] for key in ("run_id", "host"))
        holder, host = map(printable, said)
        raise OutputBusy(
            f"{self.folder}: another incremental run is using it ({holder} on {host}): wait for it "
            f"to end; if it has crashed, its lease expires in {left:.0f} seconds"
        )


def _parsed(content: bytes) -> dict[str, Any]:
    """What a lease says; nothing where a stranger wrote it: it is held until it expires."""
    try:
        lease = json.loads(content)
    except (ValueError, RecursionError):
        return {}
    return lease if isinstance(lease, dict) else {}


def _seconds(lease: dict[str, Any]) -> float:
    """For how long a lease says that it holds, within reason."""
    said = lease.get("seconds")
    return float(said) if isinstance(said, int | float) and 0 < said <= MOST_S else LEASE_S


@contextmanager
def leased(file: ConditionalFile, folder: str, run_id: str) -> Iterator[Lease]:
    """Hold the lease while the block runs, renewed by a thread. Raises OutputBusy, OutputError."""
    lease, over = Lease(file, folder, run_id), threading.Event()

    def renew() -> None:
        while not over.wait(RENEW_S):
            with suppress(ScorerError):  # tried again, until the lease has expired
                lease.renew()

    try:
        lease.take()
        threading.Thread(target=renew, name="scorer-lease", daemon=True).start()
        yield lease
    finally:
        over.set()
        lease.release()
