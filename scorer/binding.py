"""Binds a model to tables of one schema: the columns it reads and the columns it appends.

Every way to score a table goes through here: `score`, `evaluate`, Ray, Spark and `Model.predict`.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Protocol

import numpy as np
import pyarrow as pa

from scorer.card import Card, ScorerCard
from scorer.composition import Composition
from scorer.errors import ColumnError
from scorer.scores import Scores, output_columns, output_schema
from scorer.tables import Window
from scorer.tables.columns import Table, check_free, check_words, missing, text_column_of
from scorer.tasks import OutputOptions

log = logging.getLogger(__name__)
SHOWN = 60  # characters of a text in a message


class Scorer(Protocol):
    """What scores texts: a model."""

    @property
    def card(self) -> Card: ...

    def score(self, texts: pa.Array, table: pa.RecordBatch | pa.Table | None = None) -> Scores: ...

    def strongest_words(
        self, texts: pa.Array, table: pa.RecordBatch | pa.Table | None, count: int
    ) -> pa.Array: ...


@dataclass(frozen=True)
class TableSchema:
    """A table's name for messages, its columns, and its number of rows where that is known."""

    name: str
    schema: pa.Schema
    rows: int | None = None


@dataclass(frozen=True)
class Binding:
    """A model bound to tables of one schema.

    text             the column that it scores; None where the table has no columns and no rows
    context_columns  the columns that it reads beside the text
    options          which columns are appended
    """

    model: Scorer = field(repr=False)
    text: str | None
    context_columns: tuple[str, ...] = ()
    options: OutputOptions = field(default_factory=OutputOptions)
    _told: set[str] = field(default_factory=set, init=False, compare=False, repr=False)

    @cached_property
    def output_schema(self) -> pa.Schema:
        """Names and types of the appended columns, in order."""
        return output_schema(self.model.card.scorer, self.options)

    def score(self, window: Window) -> Scores:
        """Score the rows of a window that holds the columns `text` and `context_columns`."""
        return self.score_rows(window.texts, window.table)

    def score_rows(self, texts: pa.Array, table: pa.RecordBatch | pa.Table) -> Scores:
        """Score the rows of `table`, whose text column is `texts`."""
        return self.score_read(self.read(texts, table), table)

    def score_read(self, texts: pa.Array, table: pa.RecordBatch | pa.Table | None) -> Scores:
        """Score texts as the model reads them, and explain them where the options ask for it."""
        scores = self.model.score(texts, table)
        self._tell(texts, scores)
        if self.options.explain is None:
            return scores
        return replace(scores, words=self.model.strongest_words(texts, table, self.options.explain))

    def _tell(self, texts: pa.Array, scores: Scores) -> None:
        """Say once that the network gives no number for some rows."""
        if self._told or not scores.numberless.any():
            return
        self._told.add("numberless")
        log.warning(
            "the model gives NaN or an infinite number for some rows, such as %r: they are not "
            "scored",
            str(texts[int(np.argmax(scores.numberless))].as_py())[:SHOWN],
        )

    def read(self, texts: pa.Array, table: pa.RecordBatch | pa.Table) -> pa.Array:
        """The text that the model reads of the rows of `table`, whose text column is `texts`."""
        compose = self.model.card.scorer.composition
        return compose(texts, table) if compose else texts

    def output(self, scores: Scores) -> pa.RecordBatch:
        """The appended columns of some rows, as `output_schema` says."""
        return output_columns(self.model.card.scorer, scores, self.options)

    def check_free(self, table: Table) -> None:
        """Raise ColumnError where `table` has a column of an appended one's name already."""
        added = self.output_schema.names
        check_free(table.name, table.schema.names, added, self.options.prefix)


def bind(model: Scorer, table: Table, text_column: str | None, options: OutputOptions) -> Binding:
    """Bind a model to tables with the columns of `table`.

    `text_column` None: the one of the card's candidates that is there. Raises ColumnError where
    there is none, or a column beside it cannot be read, UsageError for a threshold where the task
    takes none.
    """
    card = model.card.scorer
    text = text_column_of(table, text_column, card.text_columns)
    context_columns: tuple[str, ...] = ()
    if text is not None and card.composition is not None:
        context_columns = _columns_composed(card.composition, table, model.card.ref)
    if text is not None:
        fed = _columns_fed(card, table, model.card.ref)
        context_columns = tuple(dict.fromkeys((*context_columns, *fed)))
    output_schema(card, options)  # raises what it must before a row is read
    return Binding(model, text, context_columns, options)


def _columns_fed(card: ScorerCard, table: Table, ref: str) -> tuple[str, ...]:
    """The columns that feed the network beside the text.

    Raises ColumnError where one is not there, is there twice, or holds no words or numbers.
    """
    for column in card.columns_beside:
        if column not in table.schema.names:
            raise ColumnError(
                f"{table.name}: no column {column!r}{missing([column], table.schema.names)}: "
                f"{ref} needs this column"
            )
        check_words(table.name, table.schema, column)
    return card.columns_beside


def _columns_composed(compose: Composition, table: Table, ref: str) -> tuple[str, ...]:
    """The columns that a model's text is made of, of those that `table` has.

    Those that it lacks are warned of: the model does without. Raises ColumnError where one
    holds neither words nor numbers, or is there twice.
    """
    absent = compose.missing(table.schema.names)
    if absent:
        log.warning(
            "%s: no column %s%s: %s also reads this column, and scores without it",
            table.name,
            " or ".join(repr(column) for column in absent),
            missing(absent, table.schema.names),
            ref,
        )
    present = tuple(column for column in compose.columns if column not in absent)
    for column in present:
        check_words(table.name, table.schema, column)
    return present
