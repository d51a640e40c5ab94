"""Evaluate tables: which columns to read, then every window through every model."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass, field

from scorer.errors import ColumnError
from scorer.evaluation.evaluator import Evaluator
from scorer.evaluation.request import Wanted, request, subject
from scorer.model import Model, Scores
from scorer.pipeline import ordered_map
from scorer.tables import Reader, ReadOptions, Source, Window, open_reader
from scorer.tables.columns import text_column_of


@dataclass(frozen=True)
class Reading:
    """How the tables are read; `threads` workers take `batch_size` rows at a time.

    batch_size None: as many as suit the engines and the texts.
    """

    text_column: str | None = None
    read: ReadOptions = field(default_factory=ReadOptions)
    batch_size: int | None = None
    threads: int = 1


def evaluate_tables(
    models: Sequence[Model],
    sources: Iterable[Source],
    wanted: Wanted,
    reading: Reading,
    watch: Callable[[int], None] = lambda rows: None,
) -> Evaluator:
    """Score all tables with all models, as one data set; `watch` hears of every window's rows.

    Raises InputError, ColumnError, UsageError where models predict different things.
    """
    evaluator: Evaluator | None = None
    for source in sources:
        reader, _ = open_reader(source, reading.read)
        with closing(reader):
            asked = request(models[0], reader, wanted)
            if evaluator is None:
                evaluator = Evaluator([subject(model, wanted) for model in models], asked)
            elif asked != evaluator.request:
                raise ColumnError(
                    f"{reader.name}: has the label column {asked.label_column!r}, the first table "
                    f"{evaluator.request.label_column!r}: choose with --label-column"
                )
            _evaluate(models, reader, reading, evaluator, watch)
    assert evaluator is not None, "no table was given"
    return evaluator


def _evaluate(
    models: Sequence[Model],
    reader: Reader,
    reading: Reading,
    evaluator: Evaluator,
    watch: Callable[[int], None],
) -> None:
    candidates = models[0].card.scorer.text_columns
    text = text_column_of(reader, reading.text_column, candidates)
    if text is None:
        return
    others = dict.fromkeys(evaluator.request.columns)
    for model in models:
        others |= dict.fromkeys(model.columns_beside(reader.name, reader.schema))
    others.pop(text, None)

    def score(window: Window) -> tuple[Window, list[Scores]]:
        return window, [model.score_rows(window.texts, window.table) for model in models]

    sizes = (model.window_size(reading.batch_size) for model in models)
    windows = reader.windows(text, list(others), max(sizes, key=lambda size: size.rows))
    for window, scores in ordered_map(score, windows, reading.threads):
        evaluator.add(window, scores)
        watch(window.rows + len(window.rejects))
