"""Columns of values collected window by window, in a few bytes a row."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from scorer.evaluation.labels.meaning import normal

Codes = NDArray[np.signedinteger[Any]]
Floats = NDArray[np.floating[Any]]

BLANK = -1
SHOWN_CHARACTERS = 80


class CodedColumn:
    """Distinct values as codes (rows,): -1 where blank, `limit` for all past the limit.

    The codes are int16 if the limit lets them be, else int32.

    Values are told apart by `key` (labels: `normal`, so "1", 1 and 1.0 are one), None is blank;
    `spellings` keeps the first way each was written.
    """

    def __init__(self, limit: int, key: Callable[[object], str | None] = normal) -> None:
        self.limit = limit
        self._key = key
        self.values: list[str] = []
        self.spellings: list[str] = []
        self._code: dict[str, int] = {}
        self._kind = np.min_scalar_type(-limit - 1)
        self._chunks: list[Codes] = []

    def add(self, column: pa.Array) -> Codes:
        """Append a window's values; returns their codes."""
        column = encoded(column)
        known = [self._encode(v) for v in column.dictionary.to_pylist()]
        indices = pc.fill_null(column.indices, len(known)).to_numpy(zero_copy_only=False)
        codes: Codes = np.array([*known, BLANK], dtype=self._kind)[indices]
        self._chunks.append(codes)
        return codes

    def codes(self) -> Codes:
        """int16 or int32 (rows,): of every row so far."""
        self._chunks = [_joined(self._chunks, self._kind)]
        return self._chunks[0]

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
    """Numbers as float32 or, where that would change them, float64 (rows,); NaN where none is."""

    def __init__(self) -> None:
        self.blank = 0
        self._chunks: list[Floats] = []

    def add(self, column: pa.Array) -> NDArray[np.float64]:
        """Append a window's values; returns them. Strings are read as numbers where they are."""
        values = numbers(column)
        self.blank += column.null_count
        self._chunks.append(_compact(values))
        return values

    def values(self) -> Floats:
        """float32 or float64 (rows,): of every row so far."""
        self._chunks = [_joined(self._chunks, np.float32)]
        return self._chunks[0]


def encoded(column: pa.Array) -> pa.DictionaryArray:
    """The column with its distinct values apart; what Arrow cannot tell apart as text."""
    if pa.types.is_dictionary(column.type):
        return column
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


def _compact(values: NDArray[np.float64]) -> Floats:
    with np.errstate(over="ignore"):
        narrow = values.astype(np.float32)
    return narrow if np.array_equal(narrow, values, equal_nan=True) else values


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
