"""Score one table: open, choose the column, run the pipeline, publish."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from time import perf_counter
from typing import BinaryIO, Protocol

import pyarrow as pa

from scorer.jobs.publish import Target, explained, staged
from scorer.jobs.rejects import RejectsFile
from scorer.jobs.summary import FileSummary, file_summary
from scorer.model import Model, OutputOptions, Scores
from scorer.pipeline import Observer, Scoring, append_columns, run
from scorer.tables import (
    WINDOW_ROWS,
    Reader,
    ReadOptions,
    Source,
    TableFormat,
    Window,
    format_of_name,
    open_reader,
    open_writer,
    writable,
)
from scorer.tables.columns import check_free, choose_text_column


def available_cpus() -> int:
    """The processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@dataclass(frozen=True)
class Settings:
    """How to score. Neither `threads` nor `batch_size` changes a single bit of the output.

    batch_size   rows that one worker takes at a time
    max_rejects  unreadable rows to set aside before the run stops; None: any number
    """

    text_column: str | None = None
    output: OutputOptions = field(default_factory=OutputOptions)
    read: ReadOptions = field(default_factory=ReadOptions)
    batch_size: int = WINDOW_ROWS
    threads: int = field(default_factory=available_cpus)
    force: bool = False
    max_rejects: int | None = None


@dataclass(frozen=True)
class Job:
    """One input and where its rows go: a file, or an open stream such as standard output."""

    source: Source
    target: Target
    stream: BinaryIO | None = None

    @property
    def output_name(self) -> str:
        return "stdout" if self.stream else str(self.target.path)

    def check_free(self) -> None:
        """Raise OutputExists where the job would replace a file."""
        if self.stream is None:
            self.target.check_free()


class Watcher(Protocol):
    """Follows a run's progress: `begin` with the rows to come where known, every window, `end`."""

    def begin(self, name: str, rows: int | None) -> None: ...

    def __call__(self, window: Window, scores: Scores) -> None: ...

    def end(self) -> None: ...


def score_table(
    model: Model, job: Job, settings: Settings, watcher: Watcher | None = None
) -> FileSummary:
    """Score `job`'s table and publish the output with its rejects, or leave nothing behind.

    Raises OutputExists, OutputBusy, OutputError, InputError, ColumnError, RejectedRow, RowsLost.
    """
    started = perf_counter()
    with ExitStack() as stack:
        if job.stream is None:
            stack.enter_context(job.target.locked())
            if not settings.force:
                job.target.check_free()
        reader, found = open_reader(job.source, settings.read)
        stack.callback(reader.close)
        text = _text_column(reader, model, settings)
        stream, wanted = stack.enter_context(_output(job, found))
        # Entered after the output, so published before it: no output without its rejects.
        rejects = stack.enter_context(_rejects(job, settings))
        writer = open_writer(
            stream, wanted.kind, reader, _added_schema(model, settings.output), _metadata(model)
        )
        stack.callback(writer.abandon)
        windows = reader.windows(text, rows=settings.batch_size) if text is not None else iter(())
        scoring = Scoring(model, settings.output, writer)
        observers: list[Observer] = [rejects]
        if watcher is not None:
            watcher.begin(job.source.name, getattr(reader, "rows", None))
            stack.callback(watcher.end)
            observers.append(watcher)
        unscored = ((window, None) for window in windows)
        tally = run(unscored, scoring, settings.threads, observers)
        writer.close()
        tally.check(getattr(reader, "rows", None))
    names = {
        "input": job.source.name,
        "output": job.output_name,
        "rejects": str(job.target.rejects) if rejects.count else None,
        "text_column": text,
    }
    return file_summary(names, tally, 0, perf_counter() - started)


@contextmanager
def _rejects(job: Job, settings: Settings) -> Iterator[RejectsFile]:
    """The rejects file of `job`, there only if a row is rejected; an older one goes."""
    target = job.target
    with ExitStack() as stack:
        yield RejectsFile(
            job.source.name,
            settings.read.encoding,
            settings.max_rejects,
            lambda: stack.enter_context(staged(target.rejects_part, target.rejects)),
        )
        if job.stream is None:
            target.rejects.unlink(missing_ok=True)


def _text_column(reader: Reader, model: Model, settings: Settings) -> str | None:
    """The column to score; None where an empty text file has no columns at all."""
    if not len(reader.schema):
        return None
    card = model.card.scorer
    text = choose_text_column(reader.name, reader.schema, settings.text_column, card.text_columns)
    added = model.column_names(settings.output)
    check_free(reader.name, reader.schema.names, added, settings.output.prefix)
    return text


@contextmanager
def _output(job: Job, found: TableFormat) -> Iterator[tuple[BinaryIO, TableFormat]]:
    """The stream to write the table to, and its format: what the output's name says."""
    if job.stream is not None:
        with explained(job.output_name), writable(job.stream, None) as stream:
            yield stream, TableFormat(found.kind)
            job.stream.flush()
        return
    wanted = format_of_name(job.target.path.name) or found
    with (
        staged(job.target.part, job.target.path) as file,
        writable(file, wanted.compression) as stream,
    ):
        yield stream, wanted


def _added_schema(model: Model, options: OutputOptions) -> pa.Schema:
    empty = model.score(pa.array([], pa.string()))
    return append_columns(model, empty, options).schema


def _metadata(model: Model) -> dict[str, str]:
    card = model.card.scorer
    return {
        "scorer.model": card.name,
        "scorer.model_version": card.version,
        "scorer.model_sha256": model.digest,
    }
