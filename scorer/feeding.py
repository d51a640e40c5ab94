"""Feeds each input of a network: the text, another column's text, or numbers or categories.

A card's `inputs` say which columns; an input that they do not name reads the text. A number comes
as a table has it: Parquet's as it is, a text format's from its characters. A row in which a number
is missing, or is not one, is not scored: no number stands for it. A category that is a text may be
empty; where the network has no id for it, the row is not scored either.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from scorer.bundle import Bundle, Input
from scorer.card import ScorerCard
from scorer.errors import ColumnError
from scorer.vectorizer import MOST_NUMBER, Categories, TokenBatch, Vectorizer, VectorizerSpec

log = logging.getLogger(__name__)

Given = TokenBatch | np.ndarray
_NUMBER = r"^[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]+)?$"


@dataclass(frozen=True)
class Fed:
    """What the inputs of a network are given of some rows.

    given     for each input, a TokenBatch, or float32 (rows, width) of numbers
    text      the tokens of the text itself
    readable  bool (rows,), whether every number is there
    """

    given: list[Given]
    text: TokenBatch
    readable: np.ndarray


@dataclass(frozen=True)
class Feeding:
    """Feeds a network's inputs, in their order. Thread-safe."""

    inputs: tuple[Input, ...]
    columns: tuple[tuple[str, ...], ...]  # of each input; none: the text
    most: tuple[
        int | None, ...
    ]  # of each input of ids that no vectorizer makes: how many there are
    _told: set[str] = field(default_factory=set, compare=False, repr=False)

    @cached_property
    def vectorizers(self) -> list[Vectorizer | Categories | None]:
        """Of each input; None where it takes numbers."""
        return [_reader(given.vectorizer) for given in self.inputs]

    @cached_property
    def text_readers(self) -> list[Vectorizer | None]:
        """Of each input what splits the text into words; None where it does not read the text."""
        pairs = zip(self.vectorizers, self.columns, strict=True)
        return [v if isinstance(v, Vectorizer) and not names else None for v, names in pairs]

    def __call__(self, texts: pa.Array, table: pa.RecordBatch | pa.Table | None = None) -> Fed:
        """Read the rows whose text is `texts`; `table` holds the columns beside it.

        Raises ColumnError where a column is not there.
        """
        given: list[Given] = []
        main: TokenBatch | None = None
        readable = np.ones(len(texts), np.bool_)
        for vectorizer, names, most in zip(self.vectorizers, self.columns, self.most, strict=True):
            if vectorizer is None:
                values, good = self._numbers(table, names, most)
                readable &= good
                given.append(values)
                continue
            columns = [_words(_column(table, name)) for name in names] or [texts]
            if isinstance(vectorizer, Categories):
                tokens, good = self._categories(vectorizer, names, columns)
                readable &= good
            else:
                tokens = vectorizer(columns[0])
            main = tokens if main is None and not names else main
            given.append(tokens)
        assert main is not None, "`feeding` refuses a model that does not read the text"
        return Fed(given, main, readable)

    def _numbers(
        self, table: pa.RecordBatch | pa.Table | None, names: tuple[str, ...], most: int | None
    ) -> tuple[np.ndarray, np.ndarray]:
        """float32 (rows, columns), 0 where there is no number, and bool (rows,): all are there."""
        columns = []
        readable: list[np.ndarray] = []
        for name in names:
            column = _column(table, name)
            values, good = numbers(column)
            if most is not None:
                good &= (values >= 0) & (values < most) & (values == np.floor(values))
            what = "a number" if most is None else f"a whole number from 0 to {most - 1}"
            self._tell(name, column, good, what)
            columns.append(np.where(good, values, 0))
            readable.append(good)
        return np.stack(columns, axis=1).astype(np.float32), np.all(readable, axis=0)

    def _categories(
        self, vectorizer: Categories, names: tuple[str, ...], columns: list[pa.Array]
    ) -> tuple[TokenBatch, np.ndarray]:
        """The ids of rows, and bool (rows,): every value has one."""
        readable = np.ones(len(columns[0]), np.bool_)
        if vectorizer.numeric:
            pairs = [whole_numbers(column) for column in columns]
            for name, column, (_, good) in zip(names, columns, pairs, strict=False):
                self._tell(name, column, good, "a whole number")
                readable &= good
            columns = [values for values, _ in pairs]
        tokens, known = vectorizer(columns)
        for name, column in zip(names, columns, strict=False):
            self._tell(name, column, known | ~readable, "a value that its vocabulary has")
        return tokens, readable & known

    def _tell(self, name: str, column: pa.Array, good: np.ndarray, what: str) -> None:
        """Say once for each column what keeps rows from being scored."""
        if good.all() or name in self._told:
            return
        self._told.add(name)
        found = column[int(np.argmin(good))].as_py()
        held = "no value" if found in (None, "") else f"{found!r:.60}"
        log.warning(
            "column %r holds %s where the model needs %s: such rows are not scored",
            name,
            held,
            what,
        )


def feeding(card: ScorerCard, bundle: Bundle) -> Feeding:
    """What feeds a model's inputs. Raises ColumnError where none of them reads the text."""
    named = {each.name: each.columns for each in card.inputs}
    columns = []
    for given in bundle.inputs:
        names = named.get(given.source, ())
        is_text = given.vectorizer is not None and set(names) <= set(card.text_columns)
        columns.append(() if is_text else names)
    pairs = zip(bundle.inputs, columns, strict=True)
    if not any(given.vectorizer is not None and not names for given, names in pairs):
        fed = " and ".join(f"{each.name}={','.join(each.columns)}" for each in card.inputs)
        raise ColumnError(
            f"no input of the network reads the text column {' or '.join(card.text_columns)}: "
            f"the inputs are fed by {fed}; one must name it"
        )
    most = tuple(_most(bundle, given) for given in bundle.inputs)
    return Feeding(bundle.inputs, tuple(columns), most)


def numbers(column: pa.Array) -> tuple[np.ndarray, np.ndarray]:
    """float64 (rows,), 0 where there is no number, and bool (rows,): where there is one.

    Texts are read as Python's `float` reads plain decimal numbers; null, NaN, the infinities and
    any other text are no numbers.
    """
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if pa.types.is_null(column.type):
        column = column.cast(pa.string())
    if _is_text(column.type):
        trimmed = pc.utf8_trim_whitespace(column.cast(pa.large_string()))
        written = pc.match_substring_regex(trimmed, _NUMBER)
        column = pc.if_else(written, pc.ascii_ltrim(trimmed, "+"), None)
    values = column.cast(pa.float64(), safe=False)
    there = pc.fill_null(pc.is_finite(values), False)
    filled = pc.if_else(there, values, 0.0)
    return filled.to_numpy(zero_copy_only=False), there.to_numpy(zero_copy_only=False).copy()


def whole_numbers(column: pa.Array) -> tuple[pa.Array, np.ndarray]:
    """int64 (rows,), null where there is no whole number, and bool (rows,): where there is one."""
    values, good = numbers(column)
    good &= (values == np.floor(values)) & (np.abs(values) < MOST_NUMBER)
    return pa.array(np.where(good, values, 0).astype(np.int64), mask=~good), good


def _reader(spec: VectorizerSpec | None) -> Vectorizer | Categories | None:
    """What makes an input of a column; None where it takes numbers."""
    if spec is None:
        return None
    return Vectorizer(spec) if spec.category is None else Categories(spec)


def _is_text(kind: pa.DataType) -> bool:
    return bool(
        pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)
    )


def _column(table: pa.RecordBatch | pa.Table | None, name: str) -> pa.Array:
    """A column of the table in one piece."""
    if table is None or name not in table.schema.names:
        raise ColumnError(
            f"the model reads the column {name!r} beside the text, and it is not there: give a "
            "table that has it"
        )
    column = table[name]
    if isinstance(column, pa.ChunkedArray):
        column = column.combine_chunks()
        # Older releases of Arrow keep the pieces of columns without any row.
        if isinstance(column, pa.ChunkedArray):
            column = pa.concat_arrays(column.chunks or [pa.array([], column.type)])
    return column


def _words(column: pa.Array) -> pa.Array:
    """A column as texts; what is null has no word."""
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    return column if _is_text(column.type) else column.cast(pa.large_string())


def _most(bundle: Bundle, given: Input) -> int | None:
    """How many ids the layers know that read them from an input of numbers; None: any number."""
    if given.vectorizer is not None or given.spec.dtype != "ids":
        return None
    return min(_known_ids(bundle, given.name), default=None)


def _known_ids(bundle: Bundle, name: str) -> Iterator[int]:
    for node in bundle.nodes:
        settings = node.layer.settings
        if name in node.inputs and "input_dim" in settings:
            yield int(settings["input_dim"])
