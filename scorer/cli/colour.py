"""Whether to colour what a command prints, and the marks that begin lines of a summary."""

from __future__ import annotations

import os
import re
import sys
from typing import IO, Any

import click

_COLOURS = {"ok": "green", "!": "yellow", "!!": "red"}
_MARK = re.compile(r"^( *)(ok|!!|!) ", re.MULTILINE)


def takes_colour(stream: IO[Any]) -> bool:
    """Whether `stream` is a terminal that shows colours; $NO_COLOR asks for none (no-color.org)."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def say(text: str) -> None:
    """Print a summary on stderr, its marks in colour where stderr takes colours."""
    if takes_colour(sys.stderr):
        text = _MARK.sub(_coloured, text)
    click.echo(text, err=True)


def _coloured(mark: re.Match[str]) -> str:
    return f"{mark[1]}{click.style(mark[2], fg=_COLOURS[mark[2]], bold=True)} "
