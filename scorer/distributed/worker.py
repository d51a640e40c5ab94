"""What a worker does: opens the model that was sent to it, once, and scores files or tables.

The model travels as it was checked when it was loaded, so a worker needs this package but no zoo,
and cannot meet another version of the model. Scores are those of a local run, to the bit, on
processors of one kind.
"""

from __future__ import annotations

import hashlib
import logging
import os
import pickle
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path

import pyarrow as pa

from scorer.binding import Binding, TableSchema
from scorer.engines import load_engine
from scorer.errors import ScorerError, UsageError
from scorer.frames import predict_rows
from scorer.jobs.each import Outcome, attempt
from scorer.jobs.parts.folder import finish_folder, score_part_of
from scorer.jobs.parts.known import Known, joined
from scorer.jobs.parts.scoring import forget_parts, score_part
from scorer.jobs.parts.staged import Staged
from scorer.jobs.policy import Resume
from scorer.jobs.score import Job
from scorer.jobs.settings import Settings
from scorer.jobs.summary import FileSummary
from scorer.jobs.unexpected import attempted
from scorer.model import Model, load_model
from scorer.tables.arrays import as_text
from scorer.tables.parts import Part
from scorer.tasks import OutputOptions

#: how often a file is tried whose worker dies; Spark's own number
ATTEMPTS = 4

log = logging.getLogger("scorer")


@dataclass(frozen=True)
class SentModel:
    """A model as bytes; `key` is their SHA-256. The engine is built anew where it arrives."""

    key: str
    content: bytes = field(compare=False, repr=False)


def send(model: Model) -> SentModel:
    """Pack a model for the workers."""
    content = pickle.dumps((model.card, model.bundle, model.engine.name))
    return SentModel(hashlib.sha256(content).hexdigest(), content)


@lru_cache(maxsize=1)
def opened(sent: SentModel) -> Model:
    """The model, ready to score; the same one for every call in a process."""
    card, bundle, engine = pickle.loads(sent.content)
    return Model(card, bundle, load_engine(bundle, device="cpu", engine=engine))


@dataclass(frozen=True)
class WorkerResult:
    """What came of a job at a worker, with the warnings that it gave there."""

    outcome: Outcome
    warnings: tuple[str, ...]

    def received(self) -> Outcome:
        """The outcome; the warnings are given here, where someone reads them."""
        for warning in self.warnings:
            log.warning("%s", warning)
        return self.outcome


@dataclass(frozen=True)
class PartResult:
    """The scores of a part's rows, with the warnings given meanwhile; None where it failed.

    `refused` says why an interrupted run cannot be resumed.
    """

    part: Part
    known: Sequence[Known] | None = None
    warnings: tuple[str, ...] = ()
    refused: UsageError | None = None


@dataclass(frozen=True)
class PartMade:
    """What came of a part of a folder: its files are there, or why they are not."""

    number: int
    error: ScorerError | None = None
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class FileWork:
    """Scores files as a local run does. Relative paths are below `folder`, the run's own."""

    model: SentModel
    settings: Settings
    folder: str

    def __call__(self, job: Job, tries: int, parts: Sequence[PartResult] = ()) -> WorkerResult:
        """Score a job whose worker died `tries` times before; `parts` tell its scores."""
        refused = next((part.refused for part in parts if part.refused is not None), None)
        if refused is not None:
            return WorkerResult(refused, ())
        self._enter()
        settings = self.settings
        if tries:
            # What is there is this run's own: the output is replaced, the journal gone on from.
            policy = replace(settings.policy, force=True, resume=Resume.MAY)
            settings = replace(settings, policy=policy)
        with _kept_warnings() as warnings:
            outcome = attempted(
                job.source.name,
                lambda: attempt(
                    opened(self.model), job, settings, known=self._known(job, settings, parts)
                ),
            )
        if (parts or tries) and isinstance(outcome, FileSummary):
            forget_parts(job)
        # A run warns of one thing once.
        told = next((part.warnings for part in parts if part.warnings), ())
        return WorkerResult(outcome, (*told, *warnings))

    def _known(self, job: Job, settings: Settings, parts: Sequence[PartResult]) -> Known | None:
        """The scores of all rows; parts that failed are scored here, from where they got to."""
        policy = replace(settings.policy, resume=Resume.MAY)
        resumed = replace(settings, policy=policy)
        known: list[Known] = []
        for part in parts:
            if part.known is not None:
                known += part.known
                continue
            try:
                known += score_part(opened(self.model), job, resumed, part.part)
            except Exception:  # whoever scores the whole says why
                return None
        return joined(known)

    def part(self, job: Job, part: Part) -> PartResult:
        """Score a part of a job's file. What fails is left to whoever puts the file together."""
        self._enter()
        with _kept_warnings() as warnings:
            try:
                known = score_part(opened(self.model), job, self.settings, part)
            except UsageError as error:
                refused = error if self.settings.policy.must_resume else None
                return PartResult(part, refused=refused)
            except Exception:
                return PartResult(part)
        return PartResult(part, known, tuple(warnings))

    def make_part(self, job: Job, begun: Staged, number: int) -> PartMade:
        """Score a part of a job's file, and write it among the parts of its folder."""
        self._enter()
        with _kept_warnings() as warnings:
            outcome = attempted(
                job.source.name,
                lambda: score_part_of(opened(self.model), job, self.settings, begun, number),
            )
        return PartMade(number, outcome, tuple(warnings))

    def finish(self, job: Job, begun: Staged, made: Sequence[PartMade]) -> WorkerResult:
        """Publish a job's folder, whose parts are there; `made` are those of this run.

        May be done again after it was begun, wherever that ended.
        """
        self._enter()
        told = next((part.warnings for part in made if part.warnings), ())
        failed = next((part for part in made if part.error is not None), None)
        if failed is not None and not begun.is_stopped_before(failed.number):
            assert failed.error is not None
            return WorkerResult(failed.error, told)
        with _kept_warnings() as warnings:
            outcome = attempted(
                job.source.name,
                lambda: finish_folder(opened(self.model), job, self.settings, begun),
            )
        return WorkerResult(outcome, (*told, *warnings))

    def _enter(self) -> None:
        with suppress(OSError):  # URLs need no folder; a path that is not there says so itself
            os.chdir(self.folder)


def file_work(model: Model, settings: Settings) -> FileWork:
    """The work on files, for runs from this process's folder."""
    return FileWork(send(model), settings, str(Path.cwd()))


class _Keeper(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.messages: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.messages.append(record.getMessage())


@contextmanager
def _kept_warnings() -> Iterator[list[str]]:
    """The warnings that this package logs meanwhile, instead of on the worker's own stderr."""
    keeper, before = _Keeper(), log.handlers
    log.handlers = [keeper]
    try:
        yield keeper.messages
    finally:
        log.handlers = before


@dataclass(frozen=True)
class TableWork:
    """Arrow table in, the same with the model's columns at its right out."""

    model: SentModel
    text: str
    context_columns: tuple[str, ...]
    options: OutputOptions

    def __call__(self, table: pa.Table) -> pa.Table:
        model = opened(self.model)
        binding = Binding(model, self.text, self.context_columns, self.options)
        texts = as_text(table.column(self.text).combine_chunks())
        read = binding.read(texts, table)
        added = predict_rows(binding, read, table, model.window_size(), threads=1)
        for name in added.column_names:
            table = table.append_column(name, added.column(name))
        return table


def table_work(
    name: str,
    schema: pa.Schema,
    model: str | Model,
    text_column: str | None,
    options: OutputOptions | None,
) -> tuple[TableWork, pa.Schema]:
    """The work on tables of a schema, and the schema of the columns that it appends.

    Raises ColumnError, which calls the tables by `name`, and what `scorer.load` raises.
    """
    loaded = load_model(model) if isinstance(model, str) else model
    table = TableSchema(name, schema)
    binding = loaded.bind(table, text_column, options)
    binding.check_free(table)
    assert binding.text is not None, "only a table that is known to be empty has no text column"
    work = TableWork(send(loaded), binding.text, binding.context_columns, binding.options)
    return work, binding.output_schema
