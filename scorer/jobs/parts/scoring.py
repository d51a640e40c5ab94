"""One large file for many workers: they score its parts, and one puts the file together.

Whoever puts the file together does what a local run does, with the parts' scores in the network's
place: so output, rejects, report and summary are those of a local run, whatever the parts are.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager, suppress
from dataclasses import dataclass, field
from typing import TypeAlias

from scorer.files import output_errors
from scorer.jobs.journal import Journal, journal, refuse_other_run
from scorer.jobs.parts.known import Known, joined, row_sums
from scorer.jobs.publish import LocalPlace
from scorer.jobs.score import Job
from scorer.jobs.settings import Settings, journal_identity
from scorer.model import Model
from scorer.pipeline import ordered_map
from scorer.scores import Scores
from scorer.tables import Source, Window, open_reader
from scorer.tables.parts import (
    Looking,
    Part,
    Parts,
    PartSize,
    Splittable,
    parts_of_reader,
    unseen,
)

log = logging.getLogger(__name__)

#: no file of fewer bytes is split
SPLIT_BYTES = 64 << 20
#: some seconds of a worker's work
PART_SIZE = PartSize(rows=50_000, bytes=32 << 20)

_ONE_WORKER = "one worker scores all of it"

#: shows that a file is looked through for places to cut
LookOn: TypeAlias = Callable[[Source], AbstractContextManager[Looking]]


@contextmanager
def nobody(source: Source) -> Iterator[Looking]:
    """Show nothing."""
    yield unseen


@dataclass
class Splitter:
    """Finds the parts of jobs' files; says once for each reason why a large file stays whole."""

    settings: Settings
    look_on: LookOn = nobody
    _told: set[str] = field(default_factory=set, init=False)

    def parts(self, job: Job) -> tuple[Part, ...]:
        """The parts of a job's file; none where one worker is to score all of it."""
        found = parts_of(job, self.settings, self.look_on)
        if found.reason and found.reason not in self._told:
            self._told.add(found.reason)
            whole = "its output is one part" if self.settings.spec.split_output else _ONE_WORKER
            log.warning("%s: %s: %s", job.source.name, whole, found.reason)
        return found.parts


def parts_of(job: Job, settings: Settings, look_on: LookOn = nobody) -> Parts:
    """The parts of a job's file; none where it is to be scored as a whole."""
    with suppress(Exception):  # what is wrong with the file is for whoever scores it to say
        if _is_worth_splitting(job, settings):
            reader, _ = open_reader(job.source, settings.spec.read)
            with closing(reader), look_on(job.source) as looking:
                return parts_of_reader(reader, PART_SIZE, looking)
    return Parts()


def _is_worth_splitting(job: Job, settings: Settings) -> bool:
    """Whether a file is large, all of it is read, and no finished output may be there."""
    if job.stream is not None or settings.spec.read.limit is not None:
        return False
    if settings.policy.must_resume and job.target.output.exists():
        return False
    return bool(job.source.fingerprint().get("size", 0) >= SPLIT_BYTES)


def score_part(model: Model, job: Job, settings: Settings, part: Part) -> list[Known]:
    """The scores of a part's rows, kept beside the output for `--resume` until it is there.

    Raises UsageError where they are to be resumed, and were another run's.
    """
    reader, _ = open_reader(job.source, settings.spec.read)
    try:
        assert isinstance(reader, Splittable)
        binding = model.bind(reader, settings.spec.text_column, settings.spec.output)
        if binding.text is None:
            return []
        reader.only(part)
        size = model.window_size(settings.policy.batch_size)
        reserved = frozenset(binding.output_schema.names)
        windows = reader.windows(binding.text, binding.context_columns, size, reserved)

        with _recorded(model, job, settings, part) as records:
            pairs = _paired(records, windows, model.card.scorer.outputs)
            found = []

            def known(pair: tuple[Window, Scores | None]) -> tuple[Window, Known]:
                window, scores = pair
                scores = binding.score(window) if scores is None else scores
                return window, Known(scores, row_sums(window, binding.context_columns))

            for window, each in ordered_map(known, pairs, settings.policy.threads):
                if records is not None:
                    records(window, each.scores)
                found.append(each)
        whole = joined(found)
        return [] if whole is None else [whole]
    finally:
        reader.close()


@contextmanager
def _recorded(model: Model, job: Job, settings: Settings, part: Part) -> Iterator[Journal | None]:
    """The part's journal; None for an upload, whose folder is another on every machine."""
    if not isinstance(job.target.output, LocalPlace):
        yield None
        return
    path = job.target.part_journal(f"{part.first}-{part.end}")
    identity = journal_identity(model, job.source, settings)
    other = next(job.target.part_journals(), None) if settings.policy.must_resume else None
    if other is not None and not path.exists():  # else a refused run would leave a journal
        refuse_other_run(other, job.source.name, identity)
    with output_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    with journal(path, job.source.name, identity, resume=settings.policy.journal_use) as records:
        yield records


def _paired(
    records: Journal | None, windows: Iterable[Window], outputs: int
) -> Iterable[tuple[Window, Scores | None]]:
    return records.pair(windows, outputs) if records else ((window, None) for window in windows)


def forget_parts(job: Job) -> None:
    """Remove the journals of a job's parts: its output is published."""
    for path in job.target.part_journals():
        path.unlink(missing_ok=True)
