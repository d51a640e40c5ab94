"""Where the middle half of many values lies, counted while they stream by.

Values are counted by what they are rounded to, so that memory does not grow with the rows and the
result does not depend on the windows.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scorer.card import ProfileHistogram
from scorer.evaluation.part import Quartiles

#: shares are counted in steps of 1/10,000
SHARE_STEPS = 10_000
#: whole numbers beyond this are counted as this
MOST = 200_000
#: of other numbers, how many significant digits are told apart
DIGITS = 4
POINTS = (0.25, 0.5, 0.75)


class Spread(ABC):
    """Counts of rounded values."""

    @abstractmethod
    def add(self, values: NDArray[Any]) -> None:
        """Count values, (n,), all finite."""

    @abstractmethod
    def counted(self) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """The rounded values in rising order and how many there were of each, both (k,)."""

    def quartiles(self) -> Quartiles | None:
        """The lowest values that a quarter, half and three quarters do not exceed; None of none."""
        values, counts = self.counted()
        if not len(values):
            return None
        reached = np.cumsum(counts)
        at = np.searchsorted(reached, np.array(POINTS) * reached[-1])
        low, median, high = (round(float(v), 6) for v in values[at])
        return Quartiles(low=low, median=median, high=high)


class WholeNumbers(Spread):
    """Whole numbers from 0 to MOST, or shares from 0 to 1 in steps of 1/`steps`, rounded down."""

    def __init__(self, steps: int = 1) -> None:
        self._steps = steps
        self._counts = np.zeros(0, dtype=np.int64)

    def add(self, values: NDArray[Any]) -> None:
        if not len(values):
            return
        codes = np.clip(values * np.float64(self._steps), 0, MOST).astype(np.int64)
        found = np.bincount(codes, minlength=len(self._counts))
        found[: len(self._counts)] += self._counts
        self._counts = found

    def counted(self) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        codes = np.flatnonzero(self._counts)
        return codes / self._steps, self._counts[codes]


class Numbers(Spread):
    """Any numbers, to DIGITS significant digits."""

    def __init__(self) -> None:
        self._counts: dict[float, int] = {}

    def add(self, values: NDArray[Any]) -> None:
        for value, n in zip(*np.unique(_significant(values), return_counts=True), strict=True):
            self._counts[float(value)] = self._counts.get(float(value), 0) + int(n)

    def counted(self) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        values = sorted(self._counts)
        counts = [self._counts[value] for value in values]
        return np.array(values, dtype=np.float64), np.array(counts, dtype=np.int64)


class ExactSum:
    """The sum of float32 numbers, rounded once: the same however they are cut into windows."""

    def __init__(self) -> None:
        self._by_exponent: dict[int, int] = {}

    def add(self, values: NDArray[Any]) -> None:
        """Add float32 values (n,), all finite; fewer than 2**29 at a time."""
        mantissas, exponents = np.frexp(values.astype(np.float64))
        lowest = int(exponents.min(initial=0))
        # 24 bits each, so that a float64 holds the sum of so many without rounding
        sums = np.bincount(exponents - lowest, weights=np.ldexp(mantissas, 24))
        for exponent, total in enumerate(sums.tolist(), lowest):
            self._by_exponent[exponent] = self._by_exponent.get(exponent, 0) + int(total)

    def value(self) -> float:
        """The sum so far."""
        parts = (Fraction(2) ** (e - 24) * n for e, n in self._by_exponent.items())
        return float(sum(parts, Fraction(0)))


def shares() -> WholeNumbers:
    """Counts shares from 0 to 1."""
    return WholeNumbers(SHARE_STEPS)


def _significant(values: NDArray[Any]) -> NDArray[np.float64]:
    wide = np.asarray(values, dtype=np.float64)
    size = np.where(wide == 0, 1.0, np.abs(wide))
    unit = 10.0 ** (np.floor(np.log10(size)) - (DIGITS - 1))
    return np.round(wide / unit) * unit + 0.0  # no minus zero


def profile_quartiles(histogram: ProfileHistogram, low: float | None = None) -> Quartiles:
    """Of a card's histogram, whose values are taken to lie evenly in each bin.

    `low` is where the first bin begins; an end that is open counts as its inner edge.
    """
    edges = np.asarray(histogram.edges, dtype=np.float64)
    first = edges[0] if low is None else min(low, edges[0])
    ends = np.concatenate([[first], edges, [edges[-1]]])
    reached = np.concatenate([[0], np.cumsum(histogram.counts)])
    found = np.interp(np.array(POINTS) * reached[-1], reached, ends)
    a, b, c = (round(float(v), 6) for v in found)
    return Quartiles(low=a, median=b, high=c)
