"""Evaluate tables: which columns to read, every window through every model, and the report."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field

from scorer.checks import check_at_least
from scorer.errors import ColumnError, UsageError
from scorer.evaluation.evaluator import Evaluator
from scorer.evaluation.finish import finish
from scorer.evaluation.folder import ReportFolder
from scorer.evaluation.gates import Requirement
from scorer.evaluation.request import EvaluationOptions, request, subject
from scorer.evaluation.result import Report
from scorer.model import Model
from scorer.pipeline import RejectLimit, ordered_map
from scorer.scores import Scores
from scorer.tables import Reader, ReadOptions, Source, Window, open_reader


@dataclass(frozen=True)
class Reading:
    """How the tables are read; `threads` workers take `batch_size` rows at a time.

    batch_size    None: as many as suit the engines and the texts
    max_rejects   unreadable rows to leave out before it stops; None: any number
    """

    text_column: str | None = None
    read: ReadOptions = field(default_factory=ReadOptions)
    batch_size: int | None = None
    threads: int = 1
    max_rejects: int | None = None

    def __post_init__(self) -> None:
        check_at_least("batch_size", self.batch_size, 1)
        check_at_least("threads", self.threads, 1)
        check_at_least("max_rejects", self.max_rejects, 0)


def evaluate(
    models: Sequence[Model],
    sources: Sequence[Source],
    options: EvaluationOptions,
    reading: Reading,
    *,
    requirements: Sequence[Requirement] = (),
    folder: ReportFolder | None = None,
    watch: Callable[[int], None] = lambda rows: None,
) -> Report:
    """Score all tables with all models, as one data set, and write the report into `folder`.

    `watch` hears of every window's rows. Raises InputError, ColumnError, OutputError, UsageError
    where the models cannot be compared or the folder is not for a report.
    """
    check_models(models, options)
    with ExitStack() as stack:
        write = None
        if folder is not None:
            folder.check([source.path for source in sources if source.path is not None])
            write = stack.enter_context(folder.staged())
        evaluator = evaluate_tables(models, sources, options, reading, watch)
        report = finish(evaluator, [source.name for source in sources], requirements)
        if write is not None:
            write(report)
    return report


def check_models(models: Sequence[Model], options: EvaluationOptions) -> None:
    """Raise UsageError where a model is given twice, or has no threshold to change."""
    if not models:
        raise UsageError("no model to evaluate")
    seen: set[str] = set()
    for model in models:
        model.card.scorer.problem(options.threshold)  # refuses a threshold where there is none
        if model.ref in seen:
            raise UsageError(f"{model.ref}: was named twice")
        seen.add(model.ref)


def evaluate_tables(
    models: Sequence[Model],
    sources: Sequence[Source],
    options: EvaluationOptions,
    reading: Reading,
    watch: Callable[[int], None],
) -> Evaluator:
    """Score all tables with all models, as one data set; `watch` hears of every window's rows.

    Raises InputError, ColumnError, UsageError where models predict different things.
    """
    evaluator: Evaluator | None = None
    for source in sources:
        reader, _ = open_reader(source, reading.read)
        with closing(reader):
            asked = request(models[0], reader, options)
            if evaluator is None:
                evaluator = Evaluator([subject(model, options) for model in models], asked)
            elif asked != evaluator.request:
                raise ColumnError(
                    f"{reader.name}: has the label column {asked.label_name!r}, the first table "
                    f"{evaluator.request.label_name!r}: choose one with --label-column"
                )
            evaluator.table = reader.name
            _evaluate(models, reader, asked.columns, reading, evaluator, watch)
    assert evaluator is not None, "no table was given"
    if len(sources) > 1:
        evaluator.table = ""  # what is wrong at the end is wrong with all of them
    return evaluator


def _evaluate(
    models: Sequence[Model],
    reader: Reader,
    columns: Sequence[str],
    reading: Reading,
    evaluator: Evaluator,
    watch: Callable[[int], None],
) -> None:
    first = models[0].bind(reader, reading.text_column)
    if first.text is None:
        return
    evaluator.text_column = first.text
    bindings = [first, *(model.bind(reader, first.text) for model in models[1:])]
    context = [column for binding in bindings for column in binding.context_columns]
    others = dict.fromkeys([*columns, *context])
    others.pop(first.text, None)

    def score(window: Window) -> tuple[Window, list[Scores]]:
        return window, [binding.score(window) for binding in bindings]

    sizes = (model.window_size(reading.batch_size) for model in models)
    windows = reader.windows(first.text, list(others), max(sizes, key=lambda size: size.rows))
    limit = RejectLimit(reader.name, reading.max_rejects)
    for window, scores in ordered_map(score, windows, reading.threads):
        limit.add(window)
        evaluator.add(window, scores)
        watch(window.rows + len(window.rejects))
