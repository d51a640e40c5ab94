"""Errors that no module foresaw: one line for the user, and the traceback in a file of its own.

`as_expected` turns any exception into a ScorerError that names the input, so that one input ends
alone. `BugReports` keeps the tracebacks of defects, in this user's state folder where there is one.
"""

from __future__ import annotations

import os
import platform
import secrets
import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

from scorer import __version__
from scorer.errors import InputError, ScorerError, UnexpectedError
from scorer.homes import user_folder

Result = TypeVar("Result")


def as_expected(error: Exception, name: str) -> ScorerError:
    """The error as one that ends the input `name` alone; a ScorerError is returned as it is."""
    if isinstance(error, ScorerError):
        return error
    if isinstance(error, MemoryError):
        return ScorerError(f"{name}: there is not enough memory for it: lower --batch-size")
    if isinstance(error, OSError) and error.strerror:  # the system refused; no defect of ours
        return InputError(f"{name}: {_refusal(error, name)}")
    defect = UnexpectedError(f"{name}: unexpected error: {_gist(error)}")
    defect.details = "".join(traceback.format_exception(error))
    return defect


def attempted(name: str, work: Callable[[], Result]) -> Result | ScorerError:
    """What `work` returns, or the error that it raises, as one that ends the input `name` alone."""
    try:
        return work()
    except Exception as error:
        return as_expected(error, name)


def _refusal(error: OSError, name: str) -> str:
    if error.filename is None or os.fsdecode(error.filename) == name:
        return str(error.strerror)
    return f"{os.fsdecode(error.filename)}: {error.strerror}"


def _gist(error: Exception) -> str:
    """The exception's type and text on one line, and the place in this package that met it."""
    text = " ".join(str(error).split())[:300]
    package = str(Path(__file__).parent.parent)
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if frame.filename.startswith(package)]
    place = f" ({Path(ours[-1].filename).name}, line {ours[-1].lineno})" if ours else ""
    return f"{type(error).__name__}{': ' if text else ''}{text}{place}"


@dataclass
class BugReports:
    """Writes what a report of a defect needs, once for each defect that a run meets."""

    _written: dict[str, Path | None] = field(default_factory=dict)

    def line(self, error: ScorerError) -> str:
        """The error's line for the user; for a defect, with the file that holds its traceback."""
        if not isinstance(error, UnexpectedError):
            return str(error)
        kind = error.details.rpartition("  File ")[2]  # the innermost frame, and the message
        if kind not in self._written:
            self._written[kind] = _write(error)
        path = self._written[kind]
        where = f" with {path}" if path is not None else ""
        return f"{error}; please report this{where}"


def _write(error: UnexpectedError) -> Path | None:
    """The report's file, readable by this user alone; None where it cannot be written."""
    now = datetime.now(UTC)
    versions = f"scorer {__version__}, Python {sys.version.split()[0]}, {platform.platform()}"
    state = user_folder("state")
    if state is None:
        return None
    folder = state / "reports"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = folder / f"{now:%Y%m%dT%H%M%SZ}-{secrets.token_hex(3)}.txt"
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8", errors="backslashreplace") as file:
            file.write(f"{versions}\n{error}\n\n{error.details}")
    except OSError:  # nothing that this user may write
        return None
    return path
