"""One output as a folder of parts: each part of the input is read, scored and written once.

Whoever runs the job holds the output's lock, calls `begin_folder`, has every part that is lacking
made by `score_part_of`, here or by workers, and then calls `finish_folder`. That takes the windows
which the parts left behind through what observes a run over one file: so rejects with their rows,
counts, report and summary are those of such a run. A folder in one part is made in the same way.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, replace
from time import perf_counter
from typing import BinaryIO

from scorer import __version__
from scorer.errors import DamagedInput, InputError, RejectedRow, RowsLost, UsageError
from scorer.evaluation.watch import TableEvaluation
from scorer.files import rename
from scorer.files import staged as staged_file
from scorer.jobs.journal import mark_done, read_done
from scorer.jobs.parts.kept import WindowKeeper, counted_on, kept_windows
from scorer.jobs.parts.place import Contents, FolderPlace, part_name
from scorer.jobs.parts.scoring import Splitter
from scorer.jobs.parts.staged import PartNote, Staged, key_of, planned_parts, staged
from scorer.jobs.policy import Resume
from scorer.jobs.score import (
    Job,
    check_resumable,
    check_writable,
    file_summary,
    no_report,
    rejects_of,
)
from scorer.jobs.settings import Settings, run_identity
from scorer.jobs.summary import FileSummary
from scorer.jobs.table import Watcher, opened_table, run_table
from scorer.model import Model
from scorer.pipeline import Observer, RejectLimit, Tally
from scorer.scores import Scores
from scorer.tables import Reader, TableFormat, Window, open_reader, writable
from scorer.tables.formats import output_format
from scorer.tables.parts import Part, lines_of

log = logging.getLogger(__name__)

OPTION = "--split-output"


def check_folder(job: Job) -> None:
    """Raise UsageError where the job's output cannot be a folder of parts."""
    if job.stream is not None:
        raise UsageError(f"{OPTION} writes a folder, not to {job.stream.name}: name an --output")
    if job.source.stat is None:
        raise UsageError(f"{OPTION} reads a file: {job.source.name} can be read only once")
    if not isinstance(job.target.output, FolderPlace):
        raise UsageError(
            f"{job.target.name}: {OPTION} writes into a folder of this file system, which it "
            "renames at the end; a store has no renaming: write to a folder and copy it there"
        )


def score_folder(
    model: Model,
    job: Job,
    settings: Settings,
    watchers: Sequence[Watcher] = (),
    splitter: Splitter | None = None,
) -> FileSummary:
    """Score `job`'s table here, part by part, and publish the folder with its rejects.

    Without a `splitter` there is one part. When it fails nothing is published, and the parts so far
    are kept for `--resume`. Raises what `score_table` raises.
    """
    started = perf_counter()
    check_folder(job)
    check_resumable(job, settings)
    with locked_folder(job):
        done = finished_before(model, job, settings)
        if done is not None:
            return done
        parts = parts_now(model, job, settings, splitter) if splitter else ()
        begun = begin_folder(model, job, settings, parts)
        with kept_for_resume(begun, job):
            with _followed(job, settings, watchers) as following:
                for number in begun.lacking():
                    score_part_of(model, job, settings, begun, number, following)
            summary = finish_folder(model, job, settings, begun)
        return replace(summary, elapsed_s=round(perf_counter() - started, 3))


@contextmanager
def locked_folder(job: Job) -> Iterator[None]:
    """Hold a job's output against other runs, and put right what one that was stopped has left.

    Raises OutputBusy where one has it.
    """
    with job.target.locked():
        if isinstance(job.target.output, FolderPlace):
            job.target.output.settle()
        yield


def finished_before(model: Model, job: Job, settings: Settings) -> FileSummary | None:
    """What the run that is to be resumed noted of the output, where it had finished it.

    Raises UsageError where a different run made it.
    """
    if not settings.policy.must_resume or not job.target.output.exists():
        return None
    identity = run_identity(model, job.source, settings)
    return read_done(job.target.journal, job.source.name, identity)


def parts_now(model: Model, job: Job, settings: Settings, splitter: Splitter) -> Sequence[Part]:
    """The parts that an interrupted run planned, else those of the file; none where it is whole."""
    if settings.policy.journal_use is not Resume.NEVER:
        planned = planned_parts(job.target, run_identity(model, job.source, settings))
        if planned:
            return planned
    return splitter.parts(job)


def begin_folder(model: Model, job: Job, settings: Settings, parts: Sequence[Part]) -> Staged:
    """Begin the parts of a job's output, or go on with an interrupted run's. Under the lock.

    Raises OutputExists, and UsageError where it is to be resumed and was another run's.
    """
    check_writable(job, settings)
    identity = run_identity(model, job.source, settings)
    use = settings.policy.journal_use
    return staged(job.target, job.source.name, identity, parts, use)


@contextmanager
def kept_for_resume(begun: Staged, job: Job) -> Iterator[None]:
    """Keep the parts that are whole where the block raises."""
    try:
        yield
    except BaseException as error:
        after_failure(begun, job, error)
        raise


def after_failure(begun: Staged, job: Job, error: BaseException) -> None:
    """Keep the parts that are whole for `--resume`, if another run can use any."""
    if isinstance(error, DamagedInput) or len(begun.lacking()) == len(begun.parts):
        begun.remove()
    else:
        log.warning("%s: the parts so far are kept for --resume", job.source.name)


def score_part_of(
    model: Model,
    job: Job,
    settings: Settings,
    begun: Staged,
    number: int,
    watchers: Sequence[Watcher] = (),
) -> None:
    """Score a part of the job's table, and leave it among the parts that are whole.

    Raises what `score_table` raises, but for rows that cannot be read: `finish_folder` says which
    one is too many.
    """
    if begun.is_stopped_before(number):
        return
    folder = job.report_folder(force=settings.policy.force)
    evaluation = TableEvaluation(model, settings.spec.evaluation, folder)
    limit = RejectLimit(job.source.name, settings.policy.max_rejects)
    file, kept = _PartFile(job, begun, number), begun.fresh()
    with ExitStack() as stack:
        stack.callback(kept.unlink, missing_ok=True)
        try:
            with opened_table(model, job.source, settings, file.opened, begun.cut(number)) as table:
                keeper = WindowKeeper(kept, evaluation, limit, table.binding.context_columns)
                tally = run_table(model, table, settings, [], [*watchers, keeper])
                lines = lines_of(table.reader)
        except RejectedRow:
            rename(kept, begun.windows(number))
            begun.stop(number)
            return
        rename(kept, begun.windows(number))
    begun.finish_part(
        number,
        PartNote(
            name=file.name,
            size=(begun.output / file.name).stat().st_size,
            read=tally.read,
            rejected=tally.rejected,
            lines=lines,
            seconds=tally.seconds,
            notes=tuple(table.writer.notes),
        ),
    )


@dataclass
class _PartFile:
    """The file of a part; `name` is known once it is open."""

    job: Job
    begun: Staged
    number: int
    name: str = ""

    @contextmanager
    def opened(self, input_format: TableFormat) -> Iterator[tuple[BinaryIO, TableFormat]]:
        """The stream to write the part to, and its format; it is among the parts afterwards."""
        written = output_format(self.job.output_name, input_format)
        compression = written.compression.suffixes[0] if written.compression else ""
        self.name = part_name(self.number, written.format.suffixes[0] + compression)
        fresh, place = self.begun.fresh(), self.begun.output / self.name
        with (
            staged_file(fresh, self.job.target.name, lambda: rename(fresh, place)) as file,
            writable(file, written.compression) as stream,
        ):
            yield stream, written


def finish_folder(model: Model, job: Job, settings: Settings, begun: Staged) -> FileSummary:
    """Publish the parts of a job's output, all of which are there, with rejects and report.

    Raises RejectedRow, InputError where the input has changed, OutputError, ColumnError, RowsLost.
    """
    folder = job.report_folder(force=settings.policy.force)
    evaluation = TableEvaluation(model, settings.spec.evaluation, folder)
    started, notes = perf_counter(), list[PartNote]()
    with ExitStack() as stack:
        # Published in the reverse order: rejects, output, report. None without the ones before.
        write = stack.enter_context(folder.staged()) if folder is not None else no_report
        stack.enter_context(_published(begun, notes))
        reader, _ = open_reader(job.source, settings.spec.read)
        stack.callback(reader.close)
        text = model.bind(reader, settings.spec.text_column, settings.spec.output).text
        rejects = stack.enter_context(rejects_of(job, reader, settings))
        evaluation.begin(reader)
        tally = follow_parts(job, begun, notes, [rejects, evaluation])
        tally.check(reader.rows)
        if key_of(run_identity(model, job.source, settings)) != begun.key:
            raise InputError(f"{job.source.name}: changed while it was read: nothing published")
        evaluated = evaluation.finish(write, text)
    written = dict.fromkeys(each for note in notes for each in note.notes)
    told = [*rejects.notes, *written, *evaluated.notes]
    summary = replace(
        file_summary(job, text, tally, evaluated, told),
        resumed=begun.found,
        elapsed_s=round(perf_counter() - started, 3),
    )
    if job.marks_done:
        mark_done(job.target.journal, run_identity(model, job.source, settings), summary)
    else:
        job.target.journal.unlink(missing_ok=True)
    begun.remove()
    return summary


@contextmanager
def _published(begun: Staged, notes: Sequence[PartNote]) -> Iterator[None]:
    """Publish the parts that are in `notes` when the block ends."""
    yield
    rows = {note.name: note.read - note.rejected for note in notes}
    begun.publish(Contents(__version__, begun.key, rows))


def follow_parts(
    job: Job, begun: Staged, notes: list[PartNote], observers: Sequence[Observer]
) -> Tally:
    """Show the windows of all parts to the observers, as those of the whole table.

    Raises RowsLost where a part is not there, RejectedRow where an observer does.
    """
    tally, index, rows, lines = Tally(), 0, 0, 0
    for number in range(len(begun.parts)):
        note = begun.note(number)
        if note is None and not begun.is_stopped(number):
            raise RowsLost(
                f"{job.source.name}: part {number} of the output is not there: nothing was "
                "published; run it again with --resume"
            )
        for window, scores in kept_windows(begun.windows(number)):
            window = counted_on(window, index, rows, lines)
            tally.read += window.rows + len(window.rejects)
            tally.add(window, scores)
            for observe in observers:
                observe(window, scores)
            index += 1
        assert note is not None, "a part that was stopped has more rejects than are allowed"
        notes.append(note)
        rows, lines = rows + note.read, lines + note.lines
        tally.check(rows)
        for stage, seconds in note.seconds.items():
            tally.seconds[stage] += seconds
    return tally


@dataclass(frozen=True)
class _Continued:
    """A watcher that has begun already, and goes on after this part."""

    watcher: Watcher
    columns: Sequence[str]

    def begin(self, reader: Reader) -> Sequence[str]:
        return self.columns

    def __call__(self, window: Window, scores: Scores) -> None:
        self.watcher(window, scores)

    def end(self) -> None:
        """There may be another part."""


@contextmanager
def _followed(job: Job, settings: Settings, watchers: Sequence[Watcher]) -> Iterator[list[Watcher]]:
    """The watchers, begun for all of the table, for each of its parts."""
    with ExitStack() as stack:
        following: list[Watcher] = []
        if watchers:
            reader, _ = open_reader(job.source, settings.spec.read)
            with closing(reader):
                for watcher in watchers:
                    stack.callback(watcher.end)
                    following.append(_Continued(watcher, watcher.begin(reader)))
        yield following
