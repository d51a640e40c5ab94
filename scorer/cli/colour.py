"""Whether to colour what a command prints."""

from __future__ import annotations

import os
from typing import IO, Any


def takes_colour(stream: IO[Any]) -> bool:
    """Whether `stream` is a terminal that shows colours; $NO_COLOR asks for none (no-color.org)."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
