"""One large file for many workers: they score its parts, and one puts the file together.

A part is some row groups of a Parquet file. Whoever puts the file together does what a local run
does, with the parts' scores in the network's place: so output, rejects, report and summary are
those of a local run, whatever the parts are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, groupby

from scorer.jobs.known import joined
from scorer.jobs.score import Job
from scorer.jobs.settings import Settings
from scorer.model import Model
from scorer.pipeline import ordered_map
from scorer.scores import Scores
from scorer.tables import open_reader
from scorer.tables.parquet import ParquetReader

#: no file of fewer bytes is split
SPLIT_BYTES = 64 << 20
#: a part has about so many rows, or one row group: some seconds of a worker's work
PART_ROWS = 50_000


@dataclass(frozen=True)
class Part:
    """The row groups of a file from `first` to before `end`."""

    first: int
    end: int


def parts_of(job: Job, settings: Settings) -> list[Part]:
    """The parts of a job's file; none where it is to be scored as a whole.

    What is wrong with the file is for whoever scores it to say.
    """
    if job.stream is not None or (settings.policy.must_resume and job.target.output.exists()):
        return []  # of these, the output may be finished
    try:
        if job.source.fingerprint().get("size", 0) < SPLIT_BYTES:
            return []
        reader, _ = open_reader(job.source, settings.spec.read)
        try:
            counts = reader.group_rows if isinstance(reader, ParquetReader) else []
        finally:
            reader.close()
    except Exception:
        return []
    parts = _grouped(counts)
    return parts if len(parts) > 1 else []


def _grouped(counts: Sequence[int]) -> list[Part]:
    """Row groups of so many rows in parts: each begins PART_ROWS or more after the one before."""
    starts = [total - count for total, count in zip(accumulate(counts), counts, strict=True)]
    parts: list[Part] = []
    for _, groups in groupby(range(len(counts)), lambda i: starts[i] // PART_ROWS):
        first, *rest = groups
        parts.append(Part(first, rest[-1] + 1 if rest else first + 1))
    return parts


def score_part(model: Model, job: Job, settings: Settings, part: Part) -> Scores | None:
    """The scores of a part's rows; None where there are none to tell."""
    reader, _ = open_reader(job.source, settings.spec.read)
    try:
        assert isinstance(reader, ParquetReader)
        binding = model.bind(reader, settings.spec.text_column, settings.spec.output)
        if binding.text is None:
            return None
        reader.only(range(part.first, part.end))
        size = model.window_size(settings.policy.batch_size)
        windows = reader.windows(binding.text, binding.context_columns, size)
        return joined(list(ordered_map(binding.score, windows, settings.policy.threads)))
    finally:
        reader.close()
