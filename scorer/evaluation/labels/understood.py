"""What was understood of a label column, in a sentence for the head of a report."""

from __future__ import annotations

from collections.abc import Mapping

from scorer.evaluation.labels.truth import LabelCount

SHOWN_VALUES = 3
VALUE_CHARACTERS = 30


def understood(column: str, found: LabelCount, rows: int) -> str:
    """As in "stars out of 5 in 'stars': 1-2 negative, 4-5 positive; 1,461 rows of 3 left out"."""
    said = f"{found.kind} in {column!r}"
    if found.reading:
        said += f": {found.reading}"
    unusable = rows - found.usable - found.blank
    if unusable:
        said += f"; {_rows(unusable)}{_of(found.unusable_values)} left out"
    if found.blank:
        said += f"; {_rows(found.blank)} without a label"
    return said


def _of(values: Mapping[str, int]) -> str:
    """The most frequent of the values that mean no label."""
    shown = sorted(values, key=lambda value: -values[value])[:SHOWN_VALUES]
    if not shown:
        return ""
    more = len(values) - len(shown)
    others = f" and {more:,} other value{'s' * (more > 1)}" if more else ""
    return f" of {', '.join(map(_cut, shown))}{others}"


def _cut(value: str) -> str:
    short = value if len(value) <= VALUE_CHARACTERS else value[: VALUE_CHARACTERS - 1] + "…"
    return short if short.replace(".", "").lstrip("-").isdigit() else repr(short)


def _rows(n: int) -> str:
    return f"{n:,} row{'s' * (n != 1)}"
