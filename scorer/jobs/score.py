"""Score one table: open, choose the column, run the pipeline, publish."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, BinaryIO, Protocol

from scorer.binding import Binding
from scorer.errors import InputError, OutputExists, UsageError
from scorer.evaluation.folder import ReportFolder, report_beside
from scorer.evaluation.watch import Evaluated, TableEvaluation
from scorer.files import staged
from scorer.jobs.journal import Journal, journal, mark_done, read_done
from scorer.jobs.known import Known, with_known
from scorer.jobs.publish import LocalPlace, Place, Stream, Target
from scorer.jobs.rejects import RejectsFile
from scorer.jobs.settings import Settings, journal_identity, run_identity
from scorer.jobs.summary import FileSummary
from scorer.model import Model
from scorer.pipeline import Observer, RejectLimit, Scoring, Tally, run
from scorer.scores import Scores
from scorer.tables import (
    Reader,
    Source,
    TableFormat,
    Window,
    WindowSize,
    Writer,
    chosen,
    open_reader,
    open_writer,
    writable,
)
from scorer.tables.formats import output_format

if TYPE_CHECKING:
    from scorer.evaluation.result import Report


@dataclass(frozen=True)
class Job:
    """One input and where its rows go: to `stream` as they come, or to a file that is published.

    `marks_done` leaves a note of the finished output, for the rest of the run to be resumed.
    """

    source: Source
    target: Target
    stream: Stream | None = None
    marks_done: bool = False

    def forget(self) -> None:
        """Remove the note of the finished output: nothing is left to resume."""
        if self.marks_done:
            self.target.journal.unlink(missing_ok=True)

    @property
    def key(self) -> Path:
        """What tells a run's jobs apart."""
        return self.target.work

    @property
    def output_name(self) -> str:
        return self.stream.name if self.stream else self.target.name

    def report_folder(self, *, force: bool) -> ReportFolder | None:
        """`reviews.report` beside `reviews.scored.csv`; None for streams and URLs."""
        if self.stream is not None or not isinstance(self.target.output, LocalPlace):
            return None
        return ReportFolder(report_beside(self.target.output.path), force)


class Watcher(Protocol):
    """Follows a table: `begin` says which columns it wants to see, then every window, `end`."""

    def begin(self, reader: Reader) -> Sequence[str]: ...

    def __call__(self, window: Window, scores: Scores) -> None: ...

    def end(self) -> None: ...


def score_table(
    model: Model,
    job: Job,
    settings: Settings,
    watchers: Sequence[Watcher] = (),
    known: Known | None = None,
) -> FileSummary:
    """Score `job`'s table and publish the output with its rejects.

    `known` are scores of its rows by the same model: these are not made again.
    When it fails nothing is published, and the scores so far are kept for `--resume`. Raises
    OutputExists, OutputBusy, OutputError, InputError, ColumnError, RejectedRow, RowsLost.
    """
    check_resumable(job, settings)
    if job.stream is not None:
        return _score(model, job, settings, watchers, None, known)
    with job.target.locked():
        check_writable(job, settings)
        path, name, policy = job.target.journal, job.source.name, settings.policy
        identity = run_identity(model, job.source, settings)
        done = read_done(path, name, identity) if policy.must_resume else None
        if done is not None and job.target.output.exists():
            return done
        recorded = journal_identity(model, job.source, settings)
        with journal(path, name, recorded, resume=policy.journal_use) as records:
            summary = _score(model, job, settings, watchers, records, known)
        if job.marks_done:
            mark_done(path, identity, summary)
        else:
            path.unlink(missing_ok=True)
        return summary


def check_resumable(job: Job, settings: Settings) -> None:
    """Raise UsageError where the job is to be resumed, and cannot be."""
    if job.stream is not None and (settings.policy.must_resume or settings.policy.incremental):
        raise UsageError(
            f"a run that writes to {job.stream.name} cannot be resumed: give --output a file"
        )
    if settings.policy.must_resume and job.source.stat is None:
        raise UsageError(
            "stdin cannot be read again, so the run cannot be resumed: give a file as input"
        )


def check_writable(job: Job, settings: Settings) -> None:
    """Raise OutputExists where the job would replace a file that it may not.

    Raises OutputError where the output cannot be a file.
    """
    target = job.target
    if job.stream is not None:
        return
    target.output.check()
    if settings.policy.force or not target.output.exists():
        return
    if settings.policy.must_resume and target.journal.exists():
        return  # the interrupted run was allowed to
    why = ", and no interrupted run of it can be resumed" if settings.policy.must_resume else ""
    raise OutputExists(f"{target.name}: already exists{why}; use --force to replace it")


def _score(
    model: Model,
    job: Job,
    settings: Settings,
    watchers: Sequence[Watcher],
    records: Journal | None,
    known: Known | None,
) -> FileSummary:
    started = perf_counter()
    before = job.source.fingerprint()
    folder = job.report_folder(force=settings.policy.force)
    evaluation = TableEvaluation(model, settings.spec.evaluation, folder)
    with ExitStack() as stack:
        # Published in the reverse order: rejects, output, report. None without the ones before.
        write = stack.enter_context(folder.staged()) if folder is not None else _no_report
        table = stack.enter_context(_opened(model, job, settings))
        tally = _run(model, settings, table, [*watchers, evaluation], records, known)
        if job.source.fingerprint() != before:
            raise InputError(f"{job.source.name}: changed while it was read: nothing published")
        evaluated = evaluation.finish(write, table.binding.text)
    return _summary(job, table, tally, records, evaluated, perf_counter() - started)


def _no_report(report: Report) -> None:
    raise AssertionError("a report was made for an output that has no place for one")


def _run(
    model: Model,
    settings: Settings,
    table: _Table,
    watchers: Sequence[Watcher],
    records: Journal | None,
    known: Known | None,
) -> Tally:
    """Take the table's rows through the model to its writer. Raises RowsLost."""
    with ExitStack() as stack:
        others = [*table.writer.columns, *table.binding.context_columns]
        for watcher in watchers:
            stack.callback(watcher.end)
            others += watcher.begin(table.reader)
        windows = table.windows(others, model.window_size(settings.policy.batch_size))
        outputs = model.card.scorer.outputs
        pairs = records.pair(windows, outputs) if records else ((w, None) for w in windows)
        pairs = with_known(pairs, known, table.binding.context_columns)
        kept: list[Observer] = [records] if records else []
        scoring = Scoring(table.binding, table.writer)
        tally = run(pairs, scoring, settings.policy.threads, [table.rejects, *kept, *watchers])
        table.writer.close()
        tally.check(table.reader.rows)
    return tally


def _summary(
    job: Job,
    table: _Table,
    tally: Tally,
    records: Journal | None,
    evaluated: Evaluated,
    elapsed_s: float,
) -> FileSummary:
    return FileSummary(
        input=job.source.name,
        output=job.output_name,
        rejects=job.target.rejects.name if table.rejects.limit.count else None,
        text_column=table.binding.text,
        read=tally.read,
        scored=tally.scored,
        unscored=tally.unscored,
        rejected=tally.rejected,
        resumed=records.resumed if records else 0,
        elapsed_s=round(elapsed_s, 3),
        seconds={stage: round(seconds, 3) for stage, seconds in tally.seconds.items()},
        predictions=evaluated.predictions,
        drift=evaluated.drift,
        labels=evaluated.labels,
        left_out=evaluated.left_out,
        report=evaluated.report,
        figures=evaluated.figures,
        baseline=evaluated.baseline,
        notes=[*table.rejects.notes, *table.writer.notes, *evaluated.notes],
    )


@dataclass(frozen=True)
class _Table:
    """An open input with the model bound to it, and the writer of its output."""

    reader: Reader
    binding: Binding
    writer: Writer
    rejects: RejectsFile

    def windows(self, others: Sequence[str], size: WindowSize) -> Iterator[Window]:
        text = self.binding.text
        if text is None:
            return iter(())
        columns = [column for column in dict.fromkeys(others) if column != text]
        added = frozenset(self.binding.output_schema.names)
        return self.reader.windows(text, columns, size, added)


@contextmanager
def _opened(model: Model, job: Job, settings: Settings) -> Iterator[_Table]:
    """The job's table; its output is published when the block ends."""
    with ExitStack() as stack:
        reader, input_format = open_reader(job.source, settings.spec.read)
        stack.callback(reader.close)
        binding = model.bind(reader, settings.spec.text_column, settings.spec.output)
        reader = chosen(reader, settings.spec.columns)
        binding.check_free(reader)
        stream, written = stack.enter_context(_output(job, input_format))
        # Entered after the output, so published before it: no output without its rejects.
        rejects = stack.enter_context(_rejects(job, reader, settings))
        added = binding.output_schema
        safe = settings.spec.csv_safe
        writer = open_writer(stream, written.format, reader, added, _metadata(model), csv_safe=safe)
        stack.callback(writer.abandon)
        yield _Table(reader, binding, writer, rejects)


@contextmanager
def _rejects(job: Job, reader: Reader, settings: Settings) -> Iterator[RejectsFile]:
    """The rejects file of `job`, there only if a row is rejected; an older one goes."""
    target = job.target
    with ExitStack() as stack:
        yield RejectsFile(
            reader.encoding,
            RejectLimit(job.source.name, settings.policy.max_rejects),
            lambda: stack.enter_context(_staged(target.rejects_part, target.rejects)),
        )
        if job.stream is None:
            target.rejects.remove()


@contextmanager
def _output(job: Job, input_format: TableFormat) -> Iterator[tuple[BinaryIO, TableFormat]]:
    """The stream to write the table to, and its format: what the output's name says."""
    opened: AbstractContextManager[BinaryIO]
    if job.stream is not None:
        input_format = TableFormat(
            input_format.format
        )  # uncompressed, unless the name says otherwise
        opened = job.stream.opened()
    else:
        opened = _staged(job.target.part, job.target.output)
    written = output_format(job.output_name, input_format)
    with opened as file, writable(file, written.compression) as stream:
        yield stream, written


def _staged(part: Path, place: Place) -> AbstractContextManager[BinaryIO]:
    return staged(part, place.name, lambda: place.publish(part))


def _metadata(model: Model) -> dict[str, str]:
    card = model.card.scorer
    return {
        "scorer.model": card.name,
        "scorer.model_version": card.version,
        "scorer.model_sha256": model.digest,
    }
