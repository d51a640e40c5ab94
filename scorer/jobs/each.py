"""Jobs one after another: an expected error ends its job, not the run."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace

from scorer.errors import ScorerError
from scorer.jobs.score import Job
from scorer.jobs.summary import Failure, FileSummary

log = logging.getLogger(__name__)


def do_each(
    todo: Sequence[tuple[Job, str]], do: Callable[[Job], FileSummary]
) -> tuple[list[FileSummary], list[Failure]]:
    """Do the jobs, each with the reason for it; what was done, and what failed."""
    files: list[FileSummary] = []
    failures: list[Failure] = []
    for job, reason in todo:
        try:
            file = replace(do(job), reason=reason)
        except ScorerError as error:
            log.error("%s", error, extra={"fields": {"input": job.source.name}})
            failures.append(Failure(job.source.name, str(error), error.exit_code))
        else:
            say("file done", **asdict(file))
            files.append(file)
    return files, failures


def say(event: str, **fields: object) -> None:
    """Log an event for machines."""
    log.info("%s", event, extra={"fields": fields})
