"""Score one table: open, choose the column, run the pipeline, publish."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any, BinaryIO

from scorer.errors import InputError, OutputExists, UsageError
from scorer.evaluation.folder import ReportFolder, report_beside
from scorer.evaluation.watch import Evaluated, TableEvaluation
from scorer.files import staged
from scorer.jobs.journal import Journal, journal, mark_done, read_done
from scorer.jobs.parts.known import Known, with_known
from scorer.jobs.publish import LocalPlace, Place, Stream, Target
from scorer.jobs.rejects import RejectsFile
from scorer.jobs.settings import Settings, journal_identity, run_identity
from scorer.jobs.summary import FileSummary
from scorer.jobs.table import Pairs, Watcher, opened_table, run_table, unscored
from scorer.model import Model
from scorer.pipeline import Observer, RejectLimit, Tally
from scorer.tables import Reader, Source, TableFormat, Window, writable
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
    if settings.policy.must_resume and target.is_interrupted:
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
        write = stack.enter_context(folder.staged()) if folder is not None else no_report
        table = stack.enter_context(
            opened_table(model, job.source, settings, lambda format: _output(job, format))
        )
        rejects = stack.enter_context(rejects_of(job, table.reader, settings))

        def paired(windows: Iterable[Window]) -> Pairs:
            outputs = model.card.scorer.outputs
            pairs = records.pair(windows, outputs) if records else unscored(windows)
            return with_known(pairs, known, table.binding.context_columns)

        kept: list[Observer] = [records] if records else []
        watching = [*watchers, evaluation]
        tally = run_table(model, table, settings, [rejects, *kept], watching, paired)
        check_unchanged(job, before)
        evaluated = evaluation.finish(write, table.binding.text)
    notes = [*rejects.notes, *table.writer.notes, *evaluated.notes]
    summary = file_summary(job, table.binding.text, tally, evaluated, notes)
    resumed = records.resumed if records else 0
    return replace(summary, resumed=resumed, elapsed_s=round(perf_counter() - started, 3))


def check_unchanged(job: Job, before: Mapping[str, Any]) -> None:
    """Raise InputError where the job's input has not the fingerprint of `before` any longer."""
    if job.source.fingerprint() != before:
        raise InputError(f"{job.source.name}: changed while it was read: nothing published")


def no_report(report: Report) -> None:
    """Write no report: for an output that has no place for one."""
    raise AssertionError("a report was made for an output that has no place for one")


def file_summary(
    job: Job, text: str | None, tally: Tally, evaluated: Evaluated, notes: Sequence[str]
) -> FileSummary:
    """What became of a table whose texts were in the column `text`, but for the time it took."""
    return FileSummary(
        input=job.source.name,
        output=job.output_name,
        rejects=job.target.rejects.name if tally.rejected else None,
        text_column=text,
        read=tally.read,
        scored=tally.scored,
        unscored=tally.unscored,
        rejected=tally.rejected,
        resumed=0,
        elapsed_s=0.0,
        seconds={stage: round(seconds, 3) for stage, seconds in tally.seconds.items()},
        predictions=evaluated.predictions,
        drift=evaluated.drift,
        labels=evaluated.labels,
        left_out=evaluated.left_out,
        report=evaluated.report,
        figures=evaluated.figures,
        baseline=evaluated.baseline,
        notes=notes,
    )


@contextmanager
def rejects_of(job: Job, reader: Reader, settings: Settings) -> Iterator[RejectsFile]:
    """The rejects file of `job`, there only if a row is rejected; an older one goes.

    To be entered after the output, so that it is published before: no output without its rejects.
    """
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
