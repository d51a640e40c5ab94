"""What every target shares: what a case may do, and scratch space for it."""

from __future__ import annotations

import tempfile
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
SECONDS, MEGABYTES, MAX_BYTES = 10, 1024, 1 << 17


class Finding(AssertionError):
    """A promise that a case broke without raising."""


def expect(holds: bool, promise: str) -> None:
    if not holds:
        raise Finding(promise)


@cache
def folder() -> Path:
    """Scratch files, in memory where the system has a place for that."""
    memory = Path("/dev/shm")
    return Path(tempfile.mkdtemp(prefix="fuzz-", dir=memory if memory.is_dir() else None))


@dataclass(frozen=True)
class Target:
    """What is fuzzed: `run` takes one case, `seeds` gives the first ones."""

    run: Callable[[bytes], None]
    seeds: Callable[[], list[bytes]]
    is_json: bool = False


def run_case(target: Target, data: bytes) -> None:
    """One case: it ends well, or with an expected error that prints as one line."""
    from scorer.errors import ScorerError

    try:
        target.run(data)
    except ScorerError as error:
        check_message(str(error))


def check_message(error: str) -> None:
    """What is printed of an error is one line of plain text."""
    from scorer.printable import printable

    message = printable(error)
    acting = [c for c in message if unicodedata.category(c) in ("Cc", "Cs", "Zl", "Zp")]
    expect(not acting, f"a message with {acting!r}")
    expect(len(message) < 20_000, "a message without end")
    message.encode("utf-8")
