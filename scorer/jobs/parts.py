"""One large file for many workers: they score its parts, and one puts the file together.

Whoever puts the file together does what a local run does, with the parts' scores in the network's
place: so output, rejects, report and summary are those of a local run, whatever the parts are.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field

from scorer.jobs.known import Known, joined, row_sums
from scorer.jobs.score import Job
from scorer.jobs.settings import Settings
from scorer.model import Model
from scorer.pipeline import ordered_map
from scorer.tables import Window, open_reader
from scorer.tables.parts import Part, Parts, PartSize, Splittable, parts_of_reader

log = logging.getLogger(__name__)

#: no file of fewer bytes is split
SPLIT_BYTES = 64 << 20
#: some seconds of a worker's work
PART_SIZE = PartSize(rows=50_000, bytes=32 << 20)


@dataclass
class Splitter:
    """Finds the parts of jobs' files; says once for each reason why a large file stays whole."""

    settings: Settings
    _told: set[str] = field(default_factory=set, init=False)

    def parts(self, job: Job) -> tuple[Part, ...]:
        """The parts of a job's file; none where one worker is to score all of it."""
        found = parts_of(job, self.settings)
        if found.reason and found.reason not in self._told:
            self._told.add(found.reason)
            log.warning("%s: one worker scores all of it: %s", job.source.name, found.reason)
        return found.parts


def parts_of(job: Job, settings: Settings) -> Parts:
    """The parts of a job's file; none where it is to be scored as a whole.

    What is wrong with the file is for whoever scores it to say.
    """
    if job.stream is not None or (settings.policy.must_resume and job.target.output.exists()):
        return Parts()  # of these, the output may be finished
    if settings.spec.read.limit is not None:
        return Parts()
    try:
        if job.source.fingerprint().get("size", 0) < SPLIT_BYTES:
            return Parts()
        reader, _ = open_reader(job.source, settings.spec.read)
        try:
            return parts_of_reader(reader, PART_SIZE)
        finally:
            reader.close()
    except Exception:
        return Parts()


def score_part(model: Model, job: Job, settings: Settings, part: Part) -> list[Known]:
    """The scores of a part's rows."""
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

        def known(window: Window) -> Known:
            return Known(binding.score(window), row_sums(window, binding.context_columns))

        whole = joined(list(ordered_map(known, windows, settings.policy.threads)))
        return [] if whole is None else [whole]
    finally:
        reader.close()
