"""What people see while a large file is looked through for places to cut it."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from scorer.cli.compile_view import PATIENCE_S
from scorer.printable import printable

if TYPE_CHECKING:
    from scorer.jobs.parts.scoring import LookOn
    from scorer.tables import Source
    from scorer.tables.parts import Looking


@contextmanager
def _bar(source: Source) -> Iterator[Looking]:
    """A bar of the file's bytes, from the second second on."""
    from tqdm import tqdm

    with tqdm(
        total=source.fingerprint().get("size"),
        desc=f"cutting {printable(source.name)}",
        unit="B",
        unit_scale=True,
        leave=False,
        delay=PATIENCE_S,
    ) as bar:

        def move(more: int) -> None:
            bar.update(more)

        yield move


@contextmanager
def _line(source: Source) -> Iterator[Looking]:
    """A line where that takes more than a second."""
    said = f"Looking through {printable(source.name)} for places to cut it into parts"
    timer = threading.Timer(PATIENCE_S, click.echo, [said], {"err": True})
    timer.daemon = True
    timer.start()
    try:
        yield lambda more: None
    finally:
        timer.cancel()


def looking_shown(*, shown: bool) -> LookOn:
    """What shows, on a terminal by a bar, that a file is looked through; nothing unless `shown`."""
    from scorer.jobs.parts.scoring import nobody

    if not shown:
        return nobody
    return _bar if sys.stderr.isatty() else _line
