"""Texts as Python has them: lists, NumPy, pandas and Arrow in, Arrow tables or DataFrames out."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from scorer.binding import Binding, Scorer, TableSchema, bind
from scorer.errors import InputError
from scorer.tables import WindowSize
from scorer.tasks import OutputOptions

if TYPE_CHECKING:
    import pandas as pd


def predict(
    model: Scorer, texts: Any, options: OutputOptions, size: WindowSize, threads: int
) -> pa.Table | pd.DataFrame:
    """The columns that a model appends to texts, or to a table; see `Model.predict`."""
    binding, array, rows = _bound(model, texts, options)
    table = predict_rows(binding, array, rows, size, threads)
    if _is_pandas(texts):
        frame: pd.DataFrame = table.to_pandas()
        for name in (field.name for field in table.schema if pa.types.is_list(field.type)):
            frame[name] = table.column(name).to_pylist()  # lists, where pandas would have arrays
        return frame.set_index(texts.index)
    return table


def predict_rows(
    binding: Binding,
    texts: pa.Array,
    table: pa.RecordBatch | pa.Table | None,
    size: WindowSize,
    threads: int,
) -> pa.Table:
    """The columns that a model appends to rows, whose texts are composed already."""
    rows = _rows_at_once(texts, size, threads)
    starts = range(0, max(len(texts), 1), rows)

    def window(start: int) -> pa.RecordBatch:
        beside = None if table is None else table.slice(start, rows)
        return binding.output(binding.model.score(texts.slice(start, rows), beside))

    with ThreadPoolExecutor(threads) as pool:
        return pa.Table.from_batches(pool.map(window, starts))


def _bound(
    model: Scorer, texts: Any, options: OutputOptions
) -> tuple[Binding, pa.Array, pa.RecordBatch | pa.Table | None]:
    """The model bound to what was given, the texts that it reads of it, and what is beside them.

    Texts without a table are read as they are: nothing beside them is there to compose.
    """
    if _is_pandas(texts) and hasattr(texts, "columns"):
        texts = pa.Table.from_pandas(texts, preserve_index=False)
    if not isinstance(texts, pa.Table | pa.RecordBatch):
        return Binding(model, None, (), options), _as_text(texts), None
    table = TableSchema(f"the table for {model.card.ref}", texts.schema)
    binding = bind(model, table, None, options)
    context = texts.select(list(dict.fromkeys(binding.context_columns)))
    return binding, binding.read(_as_text(texts[binding.text]), texts), context


def _rows_at_once(texts: pa.Array, size: WindowSize, threads: int) -> int:
    """A window's rows for texts of this length, and no more than keep every thread busy."""
    share = -(-len(texts) // threads)
    return max(size.rows, min(size.rows_of(len(texts), int(texts.nbytes)), share))


def _is_pandas(texts: Any) -> bool:
    return type(texts).__module__.startswith("pandas") and hasattr(texts, "index")


def _as_text(texts: Any) -> pa.Array:
    try:
        if isinstance(texts, pa.ChunkedArray):
            texts = texts.combine_chunks()
        if not isinstance(texts, pa.Array):
            texts = pa.array(texts, type=pa.string(), from_pandas=True)
        return texts.combine_chunks() if isinstance(texts, pa.ChunkedArray) else texts
    except (pa.ArrowInvalid, pa.ArrowTypeError, UnicodeEncodeError) as error:
        raise InputError(f"texts must be strings or null: {error}") from error
