"""Columns of values collected window by window, in a few bytes a row."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from scorer.evaluation.labels import normal

BLANK = -1
SHOWN_CHARACTERS = 80


class CodedColumn:
    """Distinct values as codes, int32 (rows,): -1 where blank, `limit` for all past the limit.

    Values are told apart by `key` (labels: `normal`, so "1", 1 and 1.0 are one), None is blank;
    `spellings` keeps the first way each was written.
    """

    def __init__(self, limit: int, key: Callable[[object], str | None] = normal) -> None:
        self.limit = limit
        self._key = key
        self.values: list[str] = []
        self.spellings: list[str] = []
        self._code: dict[str, int] = {}
        self._chunks: list[NDArray[np.int32]] = []

    def add(self, column: pa.Array) -> NDArray[np.int32]:
        """Append a window's values; returns their codes."""
        if not pa.types.is_dictionary(column.type):
            column = _encoded(column)
        known = np.array([self._encode(v) for v in column.dictionary.to_pylist()], dtype=np.int32)
        indices = pc.fill_null(column.indices, len(known)).to_numpy(zero_copy_only=False)
        codes: NDArray[np.int32] = np.append(known, np.int32(BLANK))[indices]
        self._chunks.append(codes)
        return codes

    def codes(self) -> NDArray[np.int32]:
        """int32 (rows,): of every row so far."""
        self._chunks = [_joined(self._chunks, np.int32)]
        return self._chunks[0]

    def merge(self, later: CodedColumn) -> None:
        """Append the rows of a column that was collected after this one."""
        known = np.array([self._encode(v) for v in later.spellings], dtype=np.int32)
        table = np.append(known, np.array([self.limit, BLANK], dtype=np.int32))
        codes = later.codes()
        self._chunks.append(table[np.where(codes == later.limit, len(known), codes)])

    def _encode(self, value: object) -> int:
        key = self._key(value)
        if key is None or key == "nan":
            return BLANK
        code = self._code.get(key)
        if code is None:
            if len(self.values) >= self.limit:
                return self.limit
            code = self._code[key] = len(self.values)
            self.values.append(key)
            self.spellings.append(_shown(value))
        return code


class NumberColumn:
    """Numbers as float64 (rows,): NaN where there is none."""

    def __init__(self) -> None:
        self.blank = 0
        self._chunks: list[NDArray[np.float64]] = []

    def add(self, column: pa.Array) -> NDArray[np.float64]:
        """Append a window's values; returns them. Strings are read as numbers where they are."""
        values = numbers(column)
        self.blank += column.null_count
        self._chunks.append(values)
        return values

    def values(self) -> NDArray[np.float64]:
        """float64 (rows,): of every row so far."""
        self._chunks = [_joined(self._chunks, np.float64)]
        return self._chunks[0]

    def merge(self, later: NumberColumn) -> None:
        """Append the rows of a column that was collected after this one."""
        self.blank += later.blank
        self._chunks.append(later.values())


def _encoded(column: pa.Array) -> pa.DictionaryArray:
    try:
        return pc.dictionary_encode(column)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):  # lists, structs and rarer types
        values = [None if v is None else str(v) for v in column.to_pylist()]
        return pc.dictionary_encode(pa.array(values, pa.string()))


def numbers(column: pa.Array) -> NDArray[np.float64]:
    """float64 (rows,): the column's finite numbers, NaN for everything else."""
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    try:
        found = pc.cast(column, pa.float64(), safe=False).to_numpy(zero_copy_only=False)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        found = np.array([_number(v) for v in column.to_pylist()], dtype=np.float64)
    return np.where(np.isfinite(found), found, np.nan)


def is_numeric(kind: pa.DataType) -> bool:
    """Integers, floats and decimals, whose values can be put in order and binned."""
    return bool(
        pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)
    )


def _number(value: object) -> float:
    try:
        return float(str(value))
    except ValueError:
        return float("nan")


def _shown(value: object) -> str:
    return " ".join(str(value).split())[:SHOWN_CHARACTERS]


def _joined(chunks: list[NDArray[Any]], kind: Any) -> NDArray[Any]:
    return np.concatenate(chunks) if chunks else np.zeros(0, dtype=kind)
