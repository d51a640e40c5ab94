"""Timestamps in INT96, as Spark, Hive and Impala write them: the unit in which none is altered.

INT96 counts days and nanoseconds, so it reaches further than an Arrow timestamp in nanoseconds
(1677 to 2262), which would wrap.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Literal

import numpy as np
import pyarrow as pa

from scorer.tables.arrays import leaves

Unit = Literal["s", "us", "ns"]
#: gives the file's INT96 columns in batches, read with a unit
Batches = Callable[[Unit], Iterator[pa.RecordBatch]]

# The seconds, from the one to before the other, that 64 bits hold when they count in a unit.
NANOSECONDS = (-(2**63) // 10**9 + 1, 2**63 // 10**9)
MICROSECONDS = (-(2**63) // 10**6 + 1, 2**63 // 10**6)


def lossless_unit(batches: Batches) -> Unit:
    """Nanoseconds if all timestamps lie in their range, else microseconds.

    Raises ValueError where neither holds them all.
    """
    seconds = [_extremes(values) for values in _values(batches, "s") if len(values)]
    low, high = (
        min(pair[0] for pair in seconds) if seconds else 0,
        max((pair[1] for pair in seconds), default=0),
    )
    if _within(low, high, NANOSECONDS):
        return "ns"
    if not _within(low, high, MICROSECONDS):
        raise ValueError("an INT96 timestamp lies beyond the year 290,000")
    # Read in nanoseconds it may have wrapped, and so does the product: they differ by the digits
    # below a microsecond and by nothing else.
    for micros, nanos in zip(_values(batches, "us"), _values(batches, "ns"), strict=True):
        if not np.array_equal(micros * 1000, nanos):
            raise ValueError(
                "its INT96 timestamps lie outside the years 1677 to 2262 and count nanoseconds: "
                "no Arrow type holds both; write them as two columns"
            )
    return "us"


def _values(batches: Batches, unit: Unit) -> Iterator[np.ndarray]:
    """The timestamps as int64 counts of `unit`, 0 for null."""
    for batch in batches(unit):
        for column in batch.columns:
            for leaf in leaves(column):
                if pa.types.is_timestamp(leaf.type):
                    yield leaf.cast(pa.int64()).fill_null(0).to_numpy(zero_copy_only=False)


def _extremes(values: np.ndarray) -> tuple[int, int]:
    return int(values.min()), int(values.max())


def _within(low: int, high: int, seconds: tuple[int, int]) -> bool:
    return seconds[0] <= low and high < seconds[1]
