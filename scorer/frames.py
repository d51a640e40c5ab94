"""Texts as Python has them, in and out: one text or many, columns or tables of several libraries.

What is given is read as an Arrow array of texts, with a table beside it where there is one; what
comes out is of the kind that was given.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from os import PathLike
from typing import Any, TypeAlias

import pyarrow as pa

from scorer.binding import Binding, Scorer, TableSchema, bind
from scorer.errors import InputError, UsageError
from scorer.tables import WindowSize
from scorer.tables.columns import holds_text
from scorer.tasks import OutputOptions

Table: TypeAlias = pa.RecordBatch | pa.Table
Watch = Callable[[int], None]


@dataclass(frozen=True)
class Given:
    """What a caller gave.

    binding  the model bound to it
    texts    the texts as the model reads them
    table    what is beside them; None where the texts came without a table
    alike    makes of a result, one row for each text, the kind that was given
    """

    binding: Binding
    texts: pa.Array
    table: Table | None
    alike: Callable[[pa.Table], Any]


def read_texts(model: Scorer, texts: Any, text_column: str | None, options: OutputOptions) -> Given:
    """Read what a caller gave; see `Model.predict`.

    Texts without a table are read as they are: nothing beside them is there to compose.
    """
    data, alike = _as_arrow(texts)
    if not isinstance(data, pa.Table | pa.RecordBatch):
        if text_column is not None:
            raise UsageError(
                f"text_column is {text_column!r}, and the texts were given without a table: leave "
                "it out"
            )
        return Given(Binding(model, None, (), options), _as_text(data), None, alike)
    schema = TableSchema(f"the table for {model.card.ref}", data.schema)
    binding = bind(model, schema, text_column, options)
    context = data.select(list(dict.fromkeys(binding.context_columns)))
    return Given(binding, binding.read(_as_text(data[binding.text]), data), context, alike)


def predict(given: Given, size: WindowSize, threads: int, watch: Watch = lambda rows: None) -> Any:
    """The columns that a model appends, of the kind that was given; see `Model.predict`."""
    table = predict_rows(given.binding, given.texts, given.table, size, threads, watch)
    return given.alike(table)


def predict_rows(
    binding: Binding,
    texts: pa.Array,
    table: Table | None,
    size: WindowSize,
    threads: int,
    watch: Watch = lambda rows: None,
) -> pa.Table:
    """The columns that a model appends to rows, whose texts are composed already.

    `watch` hears of the rows that are done.
    """
    rows = _rows_at_once(texts, size, threads)
    starts = range(0, max(len(texts), 1), rows)

    def window(start: int) -> pa.RecordBatch:
        beside = None if table is None else table.slice(start, rows)
        return binding.output(binding.score_read(texts.slice(start, rows), beside))

    batches = []
    with ThreadPoolExecutor(threads) as pool:
        for batch in pool.map(window, starts):
            batches.append(batch)
            watch(batch.num_rows)
    return pa.Table.from_batches(batches)


def _rows_at_once(texts: pa.Array, size: WindowSize, threads: int) -> int:
    """A window's rows for texts of this length, and no more than keep every thread busy."""
    share = -(-len(texts) // threads)
    return max(size.rows, min(size.rows_of(len(texts), int(texts.nbytes)), share))


def _as_arrow(texts: Any) -> tuple[Any, Callable[[pa.Table], Any]]:
    """An Arrow table, or what `_as_text` makes an array of; and the way back."""
    library = type(texts).__module__.partition(".")[0]
    if isinstance(texts, str):
        return [texts], lambda table: table.to_pylist()[0]
    if isinstance(texts, bytes | bytearray | set | frozenset | PathLike):
        raise InputError(f"texts must be strings or null, not {_refused(texts)}")
    if isinstance(texts, Mapping):
        return _columns(texts), pa.Table.to_pydict
    if library == "pandas" and hasattr(texts, "index"):
        is_frame = hasattr(texts, "columns")
        data = _of_pandas(texts) if is_frame else texts
        return data, lambda table: _as_pandas(table, texts.index)
    if library == "polars":
        return _of_polars(texts)
    if library in ("duckdb", "_duckdb") and hasattr(texts, "__arrow_c_stream__"):
        return pa.table(texts), sys.modules["duckdb"].from_arrow
    if isinstance(texts, pa.Table | pa.RecordBatch | pa.Array | pa.ChunkedArray):
        return texts, _same
    if hasattr(texts, "__arrow_c_stream__"):
        return _of_stream(texts), _same
    return texts, _same


def _same(table: pa.Table) -> pa.Table:
    return table


def _refused(texts: Any) -> str:
    """What is not a list of texts, and the way out."""
    if isinstance(texts, PathLike):
        return "a path: scorer.score_file(path, model) scores a file"
    if isinstance(texts, bytes | bytearray):
        return "bytes: decode them"
    return f"a {type(texts).__name__}, which has no order: give a list"


def _columns(texts: Mapping[Any, Any]) -> pa.Table:
    """A mapping of column names to columns."""
    for name, column in texts.items():
        if isinstance(column, str | bytes) or not hasattr(column, "__len__"):
            raise InputError(
                f"a dict must map column names to columns of texts, as in {{'text': ['...']}}: "
                f"{name!r} maps to {type(column).__name__}"
            )
    try:
        return pa.table(dict(texts))
    except (pa.ArrowInvalid, pa.ArrowTypeError, TypeError) as error:
        raise InputError(f"the dict's columns make no table: {error}") from error


def _of_pandas(frame: Any) -> pa.Table:
    try:
        return pa.Table.from_pandas(frame, preserve_index=False)
    except (pa.ArrowInvalid, pa.ArrowTypeError, ValueError, TypeError) as error:
        says = "; ".join(map(str, error.args))
        raise InputError(
            f"the DataFrame makes no Arrow table: {says}; give only columns that the model reads"
        ) from error


def _as_pandas(table: pa.Table, index: Any) -> Any:
    frame = table.to_pandas()
    for name in (field.name for field in table.schema if pa.types.is_list(field.type)):
        frame[name] = table.column(name).to_pylist()  # lists, where pandas would have arrays
    return frame.set_index(index)


def _of_polars(texts: Any) -> tuple[Any, Callable[[pa.Table], Any]]:
    polars = sys.modules["polars"]
    if isinstance(texts, polars.LazyFrame):
        return texts.collect().to_arrow(), lambda table: polars.from_arrow(table).lazy()
    return texts.to_arrow(), polars.from_arrow


def _of_stream(texts: Any) -> pa.Table | pa.ChunkedArray:
    """What any library hands over by the Arrow C stream interface: a table, or one column."""
    try:
        return pa.RecordBatchReader.from_stream(texts).read_all()
    except (pa.ArrowInvalid, pa.ArrowTypeError, TypeError):
        return pa.chunked_array(texts)


def _as_text(texts: Any) -> pa.Array:
    """An Arrow array of strings. Raises InputError, which names what is none."""
    if isinstance(texts, pa.Array | pa.ChunkedArray):
        if not holds_text(texts.type):
            raise InputError(f"texts must be strings or null, not Arrow's {texts.type}")
        return texts.combine_chunks() if isinstance(texts, pa.ChunkedArray) else texts
    if not isinstance(texts, Iterable):
        raise InputError(f"texts must be strings or null, not {texts!r:.60}: give a list")
    if isinstance(texts, Iterator):
        texts = list(texts)  # to be looked through again for what is no string
    try:
        found = pa.array(texts, type=pa.string(), from_pandas=True)
        return found.combine_chunks() if isinstance(found, pa.ChunkedArray) else found
    except (pa.ArrowInvalid, pa.ArrowTypeError, TypeError, UnicodeEncodeError) as error:
        raise InputError(f"texts must be strings or null{_first_other(texts, error)}") from error


def _first_other(texts: Iterable[Any], error: Exception) -> str:
    """The first of the texts that is none, and where it stands; else what Arrow says."""
    if getattr(texts, "ndim", 1) != 1:
        return f": an array of {texts.ndim} dimensions"  # type: ignore[attr-defined]
    for at, text in enumerate(texts):
        kind = type(text).__name__
        if isinstance(text, str) and any("\ud800" <= sign <= "\udfff" for sign in text):
            return f": the one at index {at} holds half of a surrogate pair: {text!r:.60}"
        is_null = text is None or kind == "NAType" or (isinstance(text, float) and text != text)
        if not (isinstance(text, str) or is_null):
            return f": the one at index {at} is of the type {kind}"
    return f": {error}"
