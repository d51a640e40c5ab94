"""Parts of the data: the values of a column, numbers in equal-count bins, dates by month."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from scorer.evaluation.columns import BLANK, CodedColumn, Codes, Floats, NumberColumn, is_numeric
from scorer.evaluation.labels.meaning import as_number
from scorer.evaluation.months import day, months
from scorer.evaluation.statistics.blocks import bins_of, in_blocks, look_up, occurrences
from scorer.evaluation.statistics.resample import quantile_bins

MAX_VALUES = 20
MAX_DISTINCT = 50_000
FEW_NUMBERS = 12
NUMBER_BINS = 5
BLANK_NAME, OTHER_NAME = "(blank)", "(other values)"


@dataclass(frozen=True)
class Sliced:
    """A column cut into `names`; `codes` int8 (rows,) index them."""

    column: str
    names: tuple[str, ...]
    codes: NDArray[np.int8]
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
            column = pc.strftime(column, format="%Y-%m-%d")
        self._column.add(column)

    def numbers(self) -> Floats:
        """float (rows,): the values of a column of numbers so far."""
        assert isinstance(self._column, NumberColumn)
        return self._column.values()

    def cut(self, rows: NDArray[Any]) -> Sliced:
        """Cut those rows (mask or indices of all rows so far)."""
        if self._column is None:
            return Sliced(self.name, (), np.zeros(0, dtype=np.int8), "")
        if isinstance(self._column, NumberColumn):
            return _cut_numbers(self.name, self._column.values()[rows])
        codes = self._column.codes()[rows]
        values = self._column.values
        parsed = [as_number(value) for value in values]
        if len(values) > FEW_NUMBERS and len(values) < MAX_DISTINCT and None not in parsed:
            table = np.array([*parsed, np.nan], dtype=np.float64)
            return _cut_numbers(self.name, look_up(table, codes))
        by_month = months(values)
        if by_month is not None:
            return _cut_months(self.name, by_month, codes)
        return _cut_values(self.name, values, codes)


def _as_it_is(value: object) -> str | None:
    if value is None:
        return None
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    return day(" ".join(str(value).split()))[:120] or None


def _cut_values(name: str, values: list[str], codes: Codes) -> Sliced:
    """The most frequent values, largest first; ties in the order of their names."""
    counts = occurrences(codes, MAX_DISTINCT + 1)
    order = sorted(range(len(values)), key=lambda i: (-counts[i], values[i]))
    shown = [i for i in order if counts[i]][:MAX_VALUES]
    other, blank = len(shown), len(shown) + 1
    table = np.full(MAX_DISTINCT + 2, other, dtype=np.int8)
    table[shown] = np.arange(len(shown))
    table[BLANK] = blank
    names = (*(values[i] for i in shown), OTHER_NAME, BLANK_NAME)
    found = int(np.count_nonzero(counts))
    note = f"the {MAX_VALUES} most frequent of {found:,} values" if found > MAX_VALUES else ""
    return _without_empty(name, names, look_up(table, codes), note)


def _cut_months(name: str, months: list[str], codes: Codes) -> Sliced:
    """By month, or by year where there are many months; `months` are those of the codes."""
    counts = occurrences(codes, MAX_DISTINCT + 1)
    in_use = {month for month, rows in zip(months, counts.tolist(), strict=False) if rows}
    years = len(in_use) > MAX_VALUES
    parts = [month[:4] if years else month for month in months]
    names = sorted({part[:4] if years else part for part in in_use})[-MAX_VALUES:]
    index = {part: i for i, part in enumerate(names)}
    other, blank = len(names), len(names) + 1
    table = np.full(MAX_DISTINCT + 2, other, dtype=np.int8)
    table[: len(parts)] = [index.get(part, other) for part in parts]
    table[BLANK] = blank
    note = "dates by year" if years else "dates by month"
    return _without_empty(name, (*names, OTHER_NAME, BLANK_NAME), look_up(table, codes), note)


def _cut_numbers(name: str, values: Floats) -> Sliced:
    known = np.isfinite(values)
    finite = values[known]
    few = _few_values(finite)
    bins = quantile_bins(finite, NUMBER_BINS) if few is None else bins_of(finite, few[1:])
    n = NUMBER_BINS if few is None else len(few)
    names = [_range(finite[bins == i]) for i in range(n)]
    codes = np.full(len(values), n, dtype=np.int8)
    codes[known] = bins
    cut = _without_empty(name, (*names, BLANK_NAME), codes, "")
    if few is not None:
        return cut
    groups = len(cut.names) - (cut.names[-1] == BLANK_NAME)
    return replace(cut, note=f"numbers in {groups} groups of about equal size")


def _few_values(finite: Floats) -> Floats | None:
    """The distinct values in rising order; None if they are more than FEW_NUMBERS."""
    found = finite[:0]
    for block in in_blocks(finite):
        found = np.union1d(found, block)
        if len(found) > FEW_NUMBERS:
            return None
    return found


def _range(inside: Floats) -> str:
    if not len(inside):
        return ""
    low, high = float(inside.min()), float(inside.max())
    return f"{low:,.6g}" if low == high else f"{low:,.6g} to {high:,.6g}"


def _without_empty(name: str, names: Sequence[str], codes: NDArray[np.int8], note: str) -> Sliced:
    used = np.flatnonzero(occurrences(codes, len(names)))
    table = np.zeros(len(names), dtype=np.int8)
    table[used] = np.arange(len(used))
    return Sliced(name, tuple(names[int(i)] for i in used), look_up(table, codes), note)
