"""The streams that a program was started with, where one is closed or takes no more."""

from __future__ import annotations

import os
import sys
from typing import TextIO, cast


def open_closed_streams() -> None:
    """Put a stand-in where the process was started without stdin, stdout or stderr (`>&-`).

    Without it, Python has no stream, and the next file that is opened takes the stream's number,
    so that messages of C code would go into it. To read stdin and to write stdout then fails, as
    for any program; stderr, which is closed on purpose, drops what it is given.
    """
    sys.stdin = sys.stdin or _stand_in(0, os.O_WRONLY, "r")
    sys.stdout = sys.stdout or _stand_in(1, os.O_RDONLY, "w")
    sys.stderr = sys.stderr or _stand_in(2, os.O_WRONLY, "w")


def _stand_in(number: int, flags: int, mode: str) -> TextIO:
    opened = os.open(os.devnull, flags)
    if opened != number:
        os.dup2(opened, number)
        os.close(opened)
    stream = os.fdopen(number, mode, encoding="utf-8", errors="backslashreplace", closefd=False)
    return cast(TextIO, stream)


def drop_stdout() -> None:
    """Keep what stdout could not take from being tried again, and complained of, at exit."""
    try:
        sys.stdout.flush()
    except (OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
