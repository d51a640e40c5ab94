"""Whole runs: planning, publishing, rejects, resuming, the ledger and the summary."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from scorer.errors import UsageError

if TYPE_CHECKING:
    from scorer.jobs.settings import Settings
    from scorer.jobs.summary import FileSummary
    from scorer.model import Model

__all__ = ["score_file"]


def score_file(
    model: Model,
    path: str | Path,
    output: str | Path | None = None,
    *,
    settings: Settings | None = None,
) -> FileSummary:
    """Score one table as `score` does: the output is published whole, with its rejects beside it.

    `output` defaults to the input's name with `.scored`. Raises UsageError (and its kinds, such
    as OutputExists and ColumnError), InputError, OutputError, OutputBusy.
    """
    from scorer.jobs.each import score_job
    from scorer.jobs.plan import plan
    from scorer.jobs.settings import Settings

    settings = settings or Settings()
    named = None if output is None else str(output)
    jobs = plan([str(path)], named, split_output=settings.spec.split_output).jobs
    if len(jobs) != 1:
        raise UsageError(f"{path}: {len(jobs)} tables; score_file takes one")
    return score_job(model, jobs[0], settings)
