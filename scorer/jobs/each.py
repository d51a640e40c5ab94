"""Many jobs: where they are done, and what came of each. An error ends its job alone."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol, TypeAlias

from scorer.errors import OutputClosed, ScorerError
from scorer.jobs.events import tell
from scorer.jobs.parts.folder import score_folder
from scorer.jobs.parts.known import Known
from scorer.jobs.parts.scoring import LookOn, Splitter, nobody
from scorer.jobs.score import Job, score_table
from scorer.jobs.settings import Settings
from scorer.jobs.summary import Failure, FileSummary
from scorer.jobs.table import Watcher
from scorer.jobs.unexpected import BugReports, attempted
from scorer.model import Model

#: what came of a job: its summary, or why nothing was published
Outcome: TypeAlias = FileSummary | ScorerError


class Runner(Protocol):
    """Where jobs are done: in this process, or by workers elsewhere."""

    def __call__(self, jobs: Iterable[Job], settings: Settings) -> Iterator[tuple[Job, Outcome]]:
        """Every job with what came of it, as they end. Any number may be drawn ahead."""
        ...


@dataclass(frozen=True)
class LocalRunner:
    """Does one job after the other in this process, none before its outcome is asked for."""

    model: Model
    watchers: Sequence[Watcher] = ()
    look_on: LookOn = nobody

    def __call__(self, jobs: Iterable[Job], settings: Settings) -> Iterator[tuple[Job, Outcome]]:
        splitter = Splitter(settings, self.look_on)
        for job in jobs:
            yield job, attempt(self.model, job, settings, self.watchers, splitter=splitter)


def watched_by(watcher: Watcher, runner: Runner) -> Runner:
    """The runner with one more watcher, if it scores in this process; workers have none."""
    if isinstance(runner, LocalRunner):
        return replace(runner, watchers=[*runner.watchers, watcher])
    return runner


def attempt(
    model: Model,
    job: Job,
    settings: Settings,
    watchers: Sequence[Watcher] = (),
    known: Known | None = None,
    splitter: Splitter | None = None,
) -> Outcome:
    """Score a job's table; an error, whichever it is, is the outcome and not raised."""
    return attempted(
        job.source.name, lambda: _score(model, job, settings, watchers, known, splitter)
    )


def score_job(
    model: Model, job: Job, settings: Settings, watchers: Sequence[Watcher] = ()
) -> FileSummary:
    """Score a job's table here, into a file or into a folder of parts; raises what stops it."""
    return _score(model, job, settings, watchers, None, Splitter(settings))


def _score(
    model: Model,
    job: Job,
    settings: Settings,
    watchers: Sequence[Watcher],
    known: Known | None,
    splitter: Splitter | None,
) -> FileSummary:
    if settings.spec.split_output:
        return score_folder(model, job, settings, watchers, splitter)
    return score_table(model, job, settings, watchers, known)


def collect_outcomes(
    todo: Sequence[tuple[Job, str]], outcomes: Iterable[tuple[Job, Outcome]]
) -> tuple[list[FileSummary], list[Failure]]:
    """Take in the outcomes of jobs, each to do for a reason; what was done, and what failed.

    Both are in the order of `todo`, whichever job ended first.
    """
    reasons = {job.key: reason for job, reason in todo}
    done: dict[Path, FileSummary | Failure] = {}
    reports = BugReports()
    for job, outcome in outcomes:
        name = job.source.name
        if isinstance(outcome, ScorerError):
            # A reader that has gone wants to hear no more, as of any program that writes to it.
            level = logging.INFO if isinstance(outcome, OutputClosed) else logging.ERROR
            line, code = reports.line(outcome), outcome.exit_code
            tell("file_failed", line, level=level, input=name, exit_code=code)
            done[job.key] = Failure(name, line, code)
        else:
            file = replace(outcome, reason=reasons[job.key])
            tell("file_done", **file.as_json())
            done[job.key] = file
    ordered = [done[key] for key in reasons]
    files = [result for result in ordered if isinstance(result, FileSummary)]
    failures = [result for result in ordered if isinstance(result, Failure)]
    return files, failures
