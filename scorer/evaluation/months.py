"""Dates as texts, as CSV has them: which month each lies in."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime

#: ways to write a date, each for a whole column
_WAYS = (
    "%Y-%m-%d",
    "%Y/%m/%d",
    "%d.%m.%Y",
    "%B %d, %Y",
    "%b %d, %Y",
    "%d %B %Y",
    "%d %b %Y",
)
#: where both fit, and give different months, neither is taken
_EITHER_WAY = ("%m/%d/%Y", "%d/%m/%Y")
_TIME = re.compile(r"^(\d{4}[-/]\d\d?[-/]\d\d?)[T ]\d\d?:\d\d.*$")
_LOOKS_SO = re.compile(r"\d{4}|\d\d?[./]\d\d?[./]\d{4}")


def day(text: str) -> str:
    """A date without the time of day, any other text as it is.

    A column of times would have more values than are told apart.
    """
    return _TIME.sub(r"\1", text)


def months(values: Sequence[str]) -> list[str] | None:
    """The month of each value, as 2025-03; None where not all of them are dates."""
    if not values or not all(map(_LOOKS_SO.search, values)):
        return None
    either = [found for way in _EITHER_WAY if (found := _read(values, way)) is not None]
    if either:
        return either[0] if len(either) == 1 or either[0] == either[1] else None
    return next((found for way in _WAYS if (found := _read(values, way)) is not None), None)


def _read(values: Sequence[str], way: str) -> list[str] | None:
    try:
        return [f"{datetime.strptime(value, way):%Y-%m}" for value in values]
    except ValueError:
        return None
