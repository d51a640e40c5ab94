"""Checks the arguments that the command line and Python share."""

from __future__ import annotations

from collections.abc import Sequence

from scorer.errors import UsageError


def check_at_least(name: str, value: int | None, least: int) -> None:
    """Raise UsageError unless `value` is a whole number of at least `least`, or None."""
    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise UsageError(f"{name} is {value!r}: it must be a whole number of at least {least}")


def check_share(name: str, value: float | None) -> None:
    """Raise UsageError unless `value` lies between 0 and 1, both excluded, or is None."""
    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 1:
        raise UsageError(f"{name} is {value!r}: it must be a number between 0 and 1")


def check_choice(name: str, value: str | None, choices: Sequence[str]) -> None:
    """Raise UsageError unless `value` is one of `choices`, or None."""
    if value is not None and value not in choices:
        raise UsageError(f"{name} is {value!r}: it must be one of {', '.join(choices)}")
