"""A whole run: every job in turn, a failed one named while the others go on."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime
from time import perf_counter

from scorer import __version__
from scorer.errors import ScorerError
from scorer.jobs.score import Job, Settings, Watcher, score_table
from scorer.jobs.summary import Failure, ModelSummary, RunSummary
from scorer.model import Model


def new_run_id() -> str:
    """Sorts by time, and no two runs share it: 20260131T235959Z-9f8e7d."""
    return f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{secrets.token_hex(3)}"


def run_jobs(
    model: Model, jobs: Sequence[Job], settings: Settings, watchers: Sequence[Watcher] = ()
) -> RunSummary:
    """Score the jobs one after another. A single job's failure is raised, one of several noted."""
    started = perf_counter()
    summary = RunSummary(
        run_id=new_run_id(),
        scorer=__version__,
        model=ModelSummary(
            model.card.scorer.name, model.card.scorer.version, model.digest, model.engine.name
        ),
        settings=asdict(settings),
    )
    files, failures = [], []
    for job in jobs:
        try:
            files.append(score_table(model, job, settings, watchers))
        except ScorerError as error:
            if len(jobs) == 1:
                raise
            failures.append(Failure(job.source.name, str(error)))
    elapsed = round(perf_counter() - started, 3)
    return replace(summary, files=files, failures=failures, elapsed_s=elapsed)
