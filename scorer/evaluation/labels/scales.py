"""Columns of numbers that say how good something was: stars, and signs.

Which scale a column uses can only be told from all of its numbers.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

FIVE_STARS_MOST, TEN_STARS_MOST = 5, 10


@dataclass(frozen=True)
class Scale:
    """Numbers up to `low` are negative, from `high` on positive; what lies between is neutral.

    ranges    the negative, neutral and positive numbers in words
    """

    name: str
    low: float
    high: float
    ranges: tuple[str, str, str]

    def place(self, number: float) -> int:
        """0 for negative, 1 for neutral, 2 for positive."""
        return 0 if number <= self.low else 2 if number >= self.high else 1

    def reading(self, labels: Sequence[str | None]) -> str:
        """What the numbers mean; `labels` are the negative, neutral and positive ones, if any."""
        named = zip(self.ranges, labels, strict=True)
        return ", ".join(f"{span} {label or 'left out'}" for span, label in named)


SIGNS = Scale("signs", -1, 1, ("-1", "0", "1"))
FIVE_STARS = Scale("stars out of 5", 2, 4, ("1-2", "3", "4-5"))
TEN_STARS = Scale("stars out of 10", 4, 7, ("0-4", "5-6", "7-10"))


def scale_of(numbers: Collection[float], *, neutral: bool) -> Scale | None:
    """The scale of a column with those numbers, None where it cannot be told.

    Without a `neutral` label, -1, 0 and 1 together may also be "unknown, no, yes".
    """
    found = set(numbers)
    if not found:
        return None
    if -1 in found and found <= {-1, 0, 1}:
        return SIGNS if neutral or 0 not in found else None
    if min(found) < 0 or max(found) > TEN_STARS_MOST:
        return None
    if max(found) > FIVE_STARS_MOST:
        return TEN_STARS
    return FIVE_STARS if max(found) == FIVE_STARS_MOST else None
