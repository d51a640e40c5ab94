"""Parts of the data: the values of a column, numbers in equal-count bins, dates by month."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from scorer.evaluation.columns import BLANK, CodedColumn, NumberColumn, is_numeric
from scorer.evaluation.labels import as_number
from scorer.evaluation.resample import quantile_bins

MAX_VALUES = 20
MAX_DISTINCT = 50_000
FEW_NUMBERS = 12
NUMBER_BINS = 5
BLANK_NAME, OTHER_NAME = "(blank)", "(other values)"


@dataclass(frozen=True)
class Sliced:
    """A column cut into `names`; `codes` int64 (rows,) index them."""

    column: str
    names: tuple[str, ...]
    codes: NDArray[np.int64]
    note: str


class SliceColumn:
    """A column of any type, collected window by window."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._column: CodedColumn | NumberColumn | None = None

    def add(self, column: pa.Array) -> None:
        """Append a window's values. The first window's type holds for all."""
        if self._column is None:
            numeric = is_numeric(column.type)
            self._column = NumberColumn() if numeric else CodedColumn(MAX_DISTINCT, _as_it_is)
        if pa.types.is_temporal(column.type) and not pa.types.is_time(column.type):
            column = pc.strftime(column, format="%Y-%m")
        self._column.add(column)

    def merge(self, later: SliceColumn) -> None:
        """Append the rows of the same column, collected after this one."""
        if self._column is None or later._column is None:
            self._column = self._column or later._column
            return
        if type(self._column) is not type(later._column):
            raise TypeError(f"column {self.name!r} held numbers in one part and not in the other")
        self._column.merge(later._column)  # type: ignore[arg-type]

    def cut(self, rows: NDArray[Any]) -> Sliced:
        """Cut those rows (mask or indices of all rows so far)."""
        if self._column is None:
            return Sliced(self.name, (), np.zeros(0, dtype=np.int64), "")
        if isinstance(self._column, NumberColumn):
            return _cut_numbers(self.name, self._column.values()[rows])
        codes = self._column.codes()[rows]
        values = self._column.values
        parsed = [as_number(value) for value in values]
        if len(values) > FEW_NUMBERS and len(values) < MAX_DISTINCT and None not in parsed:
            table = np.array([*parsed, np.nan], dtype=np.float64)
            return _cut_numbers(self.name, table[codes])
        return _cut_values(self.name, values, codes)


def _as_it_is(value: object) -> str | None:
    if value is None:
        return None
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    return " ".join(str(value).split())[:120] or None


def _cut_values(name: str, values: list[str], codes: NDArray[np.int32]) -> Sliced:
    """The most frequent values, largest first; ties in the order of their names."""
    counts = np.bincount(codes[codes >= 0], minlength=len(values) + 1)
    order = sorted(range(len(values)), key=lambda i: (-counts[i], values[i]))
    shown = [i for i in order if counts[i]][:MAX_VALUES]
    other, blank = len(shown), len(shown) + 1
    table = np.full(MAX_DISTINCT + 2, other, dtype=np.int64)
    table[shown] = np.arange(len(shown))
    table[BLANK] = blank
    names = (*(values[i] for i in shown), OTHER_NAME, BLANK_NAME)
    found = int(np.count_nonzero(counts))
    note = f"the {MAX_VALUES} most frequent of {found:,} values" if found > MAX_VALUES else ""
    return _without_empty(Sliced(name, names, table[codes], note))


def _cut_numbers(name: str, values: NDArray[np.float64]) -> Sliced:
    known = np.isfinite(values)
    finite = values[known]
    distinct = np.unique(finite) if len(finite) else finite
    few = len(distinct) <= FEW_NUMBERS
    bins = np.searchsorted(distinct, finite) if few else quantile_bins(finite, NUMBER_BINS)
    used, bins = np.unique(bins, return_inverse=True)
    names = []
    for i in range(len(used)):
        inside = finite[bins == i]
        low, high = float(inside.min()), float(inside.max())
        names.append(f"{low:,.6g}" if low == high else f"{low:,.6g} to {high:,.6g}")
    codes = np.full(len(values), len(names), dtype=np.int64)
    codes[known] = bins
    note = "" if few else f"numbers in {len(names)} groups of about equal size"
    return _without_empty(Sliced(name, (*names, BLANK_NAME), codes, note))


def _without_empty(cut: Sliced) -> Sliced:
    used, codes = np.unique(cut.codes, return_inverse=True)
    names = tuple(cut.names[i] for i in used)
    return Sliced(cut.column, names, codes.astype(np.int64), cut.note)
