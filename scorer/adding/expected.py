"""Outputs of the user's own program, from a table: read, compared, and kept as golden rows.

The table has the text column, the further columns that the model reads, and y0, y1 ...: the
program's final outputs. One sigmoid is one column: the probability of the second label.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from scorer.card import Card
from scorer.errors import ColumnError, InputError
from scorer.feeding import numbers
from scorer.model import Model
from scorer.scores import finite_rows
from scorer.tables import Reader, Window, local_source, open_reader
from scorer.tables.columns import missing

MOST_ROWS = 10_000
GOLDEN_ROWS = 32
GOLDEN_CHARACTERS = 8_000  # of a text: longer ones are compared, and not kept
SHOWN = 60  # characters of a text
#: what stands in a table for NaN and the infinities
_NO_NUMBER = ("", "none", "nan", "inf", "-inf", "+inf", "infinity", "-infinity")


@dataclass(frozen=True)
class Expected:
    """What a program answers for some rows.

    name      of the table, for messages
    texts     what the model reads, as it composes it
    table     the columns beside the text
    outputs   float64 (rows, k), final ones, in the order of the task's; NaN where the program gives
              no finite number
    """

    name: str
    texts: pa.Array
    table: pa.Table
    outputs: np.ndarray


@dataclass(frozen=True)
class Comparison:
    """A model's outputs beside the expected ones.

    gaps     float64 (rows, k), relative above 1; 0 where a row is not scored, or where neither
             program nor model gives a finite number; infinite where one of them alone does
    found    float32 (rows, k), what the model gives
    scored   bool (rows,)
    """

    expected: Expected
    gaps: np.ndarray
    found: np.ndarray
    scored: np.ndarray

    @property
    def gap(self) -> float:
        """The largest difference."""
        return float(self.gaps.max(initial=0.0))

    def difference(self, allowed: float) -> str:
        """The row that differs most, and how many do."""
        row, output = np.unravel_index(int(np.argmax(self.gaps)), self.gaps.shape)
        wanted, found = self.expected.outputs[row, output], self.found[row, output]
        rows = int((self.gaps.max(axis=1) > allowed).sum())
        text = str(self.expected.texts[int(row)].as_py())
        shown = text if len(text) <= SHOWN else f"{text[: SHOWN - 1]}…"
        return (
            f"{self.expected.name}: row {row + 1}: output {output} should be {wanted:.6g}, the "
            f"model gives {found:.6g} for {shown!r}; "
            f"{rows} of {len(self.gaps)} rows differ by more than {allowed:.0e}"
        )


def read_expected(path: Path, model: Model) -> Expected:
    """The table's rows, as `model` reads them, with the outputs beside them.

    An empty cell and `nan` both stand for NaN: so the programs write it that make such tables.
    Raises InputError and ColumnError: a column is not there, or an output is not a number.
    """
    reader, _ = open_reader(local_source(path))
    try:
        return _read(reader, model)
    finally:
        reader.close()


def _read(reader: Reader, model: Model) -> Expected:
    outputs = _output_columns(reader, model.card)
    binding = model.bind(reader)
    if binding.text is None:
        raise InputError(f"{reader.name}: holds no rows to compare with")
    texts, tables, found, rows = [], [], [], 0
    for window in reader.windows(binding.text, (*binding.context_columns, *outputs)):
        _check_rejects(reader, window)
        found.append(_outputs(reader.name, window, outputs, rows))
        texts.append(binding.read(window.texts, window.table).cast(pa.large_string()))
        tables.append(pa.table({name: window.table[name] for name in binding.context_columns}))
        rows += window.rows
        if rows >= MOST_ROWS:
            break
    if not rows:
        raise InputError(f"{reader.name}: holds no rows to compare with")
    values = np.concatenate(found)[:, -model.card.scorer.outputs :]
    beside = pa.concat_tables(tables)
    return Expected(reader.name, pa.concat_arrays(texts), beside, values)


def _output_columns(reader: Reader, card: Card) -> list[str]:
    """y0, y1 ... as many as there are. Raises ColumnError where they do not fit the task."""
    there = {name for name in reader.schema.names if re.fullmatch(r"y[0-9]{1,4}", name)}
    named = [f"y{i}" for i in range(len(there))]
    wanted = [f"y{i}" for i in range(card.scorer.outputs)]
    if len(there) not in card.scorer.network_outputs or set(named) != there:
        columns = ", ".join(wanted)
        if not there:
            raise ColumnError(
                f"{reader.name}: no column {columns}{missing(wanted, reader.schema.names)}; "
                "y0, y1 ... hold the final outputs of your own program"
            )
        has = ", ".join(sorted(there))
        raise ColumnError(
            f"{reader.name}: has {has}, and a {card.scorer.task} model with these labels answers "
            f"{columns}"
        )
    return named


def _check_rejects(reader: Reader, window: Window) -> None:
    for reject in window.rejects:
        raise InputError(f"{reader.name}: row {reject.row} cannot be read: {reject.reason}")


def _outputs(name: str, window: Window, columns: Sequence[str], before: int) -> np.ndarray:
    """float64 (rows, outputs)."""
    values = []
    for column in columns:
        read, there = numbers(window.table[column])
        for row in np.flatnonzero(~there).tolist():
            found = window.table[column][row].as_py()
            if str(found).strip().lower() not in _NO_NUMBER:
                raise InputError(
                    f"{name}: row {before + row + 1}: {column} is {found!r:.40}, no number"
                )
        values.append(np.where(there, read, np.nan))
    return np.stack(values, axis=1)


def compare(model: Model, expected: Expected) -> Comparison:
    """Score the rows and hold them to what is expected. Rows without a word are not compared."""
    scores = model.score(expected.texts, expected.table)
    scale = np.maximum(1.0, np.abs(expected.outputs))
    with np.errstate(invalid="ignore"):  # an infinite number less another
        gaps = np.abs(scores.outputs - expected.outputs) / scale
    gaps[~np.isfinite(gaps)] = np.inf
    gaps[~scores.scored] = 0.0
    gaps[scores.numberless & finite_rows(expected.outputs)] = np.inf
    return Comparison(expected, gaps, scores.outputs, scores.scored)


def golden_rows(comparison: Comparison) -> list[dict[str, Any]]:
    """Some of the rows as a card's golden rows: short and long texts, and those without a score."""
    expected = comparison.expected
    lengths = [len(text or "") for text in expected.texts.to_pylist()]
    order = [int(i) for i in np.argsort(lengths, kind="stable")]
    fit = [i for i in order if lengths[i] <= GOLDEN_CHARACTERS and expected.texts[i].is_valid]
    places = np.unique(np.linspace(0, len(fit) - 1, min(GOLDEN_ROWS, len(fit))).round().astype(int))
    return [_golden_row(comparison, i) for i in sorted(fit[place] for place in places)]


def _golden_row(comparison: Comparison, row: int) -> dict[str, Any]:
    expected = comparison.expected
    output = expected.outputs[row].tolist() if comparison.scored[row] else None
    fields: dict[str, Any] = {"text": expected.texts[row].as_py(), "output": output}
    beside = {name: expected.table[name][row].as_py() for name in expected.table.column_names}
    written = {name: _written(value) for name, value in beside.items() if value is not None}
    return fields | ({"columns": written} if beside else {})


def _written(value: Any) -> str | float:
    """A cell as a card holds it."""
    return value if isinstance(value, str) else float(value)
