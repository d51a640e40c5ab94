"""Incremental runs: only what is new or changed, as the output folder's ledger tells."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any, TypeVar

from scorer.errors import InputError, ScorerError, UsageError
from scorer.files import output_errors
from scorer.jobs.each import Outcome, Runner, collect_outcomes
from scorer.jobs.ledger import FILE, Ledger, ledger_key, open_ledger
from scorer.jobs.plan import RunPlan
from scorer.jobs.publish import LocalPlace, locked
from scorer.jobs.score import Job, check_writable
from scorer.jobs.settings import Settings, output_identity
from scorer.jobs.summary import Planned, RunSummary
from scorer.jobs.unexpected import as_expected
from scorer.model import Model
from scorer.tables.remote import is_url

LOCK = ".scorer.lock"

Result = TypeVar("Result")


def run_incremental(
    model: Model,
    plan: RunPlan,
    settings: Settings,
    runner: Runner,
    summary: RunSummary,
) -> RunSummary:
    """Bring a folder of outputs up to date. Raises OutputBusy where another run is at it."""
    if plan.folder is None or is_url(plan.folder):
        raise UsageError("--incremental keeps its ledger in a local folder: name one as --output")
    folder = Path(plan.folder)
    with _ledger(folder, summary.run_id, dry_run=settings.policy.dry_run) as ledger:
        update = _Update(settings, output_identity(model, settings.spec), ledger, folder)
        decided = [(job, update.reason(job)) for job in plan.jobs]
        refused = [(job, why) for job, why in decided if isinstance(why, ScorerError)]
        todo = [(job, why) for job, why in decided if isinstance(why, str) and why]
        skipped = len(decided) - len(todo) - len(refused)
        unseen = tuple(f"{failure.input.rstrip('/')}/" for failure in plan.failures)
        gone = ledger.gone(update.key(job) for job in plan.jobs)
        removed = [name for name in gone if not f"{name}/".startswith(unseen)]
        summary = replace(summary, skipped=skipped, removed=removed)
        if settings.policy.dry_run:
            planned = [Planned(job.source.name, job.output_name, why) for job, why in todo]
            _, failures = collect_outcomes([(job, "") for job, _ in refused], refused)
            return replace(summary, planned=planned, failures=failures)
        outcomes = chain(refused, update.outcomes([job for job, _ in todo], runner))
        reasons = [(job, why if isinstance(why, str) else "") for job, why in decided if why]
        files, failures = collect_outcomes(reasons, outcomes)
    return replace(summary, files=files, failures=failures)


@contextmanager
def _ledger(folder: Path, run_id: str, *, dry_run: bool) -> Iterator[Ledger]:
    """The folder's ledger, held against other runs; a dry run makes and holds nothing."""
    if dry_run:
        path = folder / FILE
        with open_ledger(path if path.exists() else None, run_id) as ledger:
            yield ledger
        return
    with output_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    busy = f"{folder}: another incremental run is using it"
    with locked(folder / LOCK, busy), open_ledger(folder / FILE, run_id) as ledger:
        yield ledger


@dataclass(frozen=True)
class _Update:
    """Decides which outputs are to be made, and keeps the ledger while they are."""

    settings: Settings
    identity: Mapping[str, Any]
    ledger: Ledger
    folder: Path

    def key(self, job: Job) -> str:
        assert isinstance(job.target.output, LocalPlace)
        return ledger_key(job.target.output.path.relative_to(self.folder))

    def reason(self, job: Job) -> str | ScorerError:
        """Why the job's output is to be made, empty if it is not; or why that cannot be told."""

        def reason() -> str:
            if job.source.stat is None:
                raise InputError(
                    f"{job.source.name}: a stream has no size or time that would show a change: "
                    "score it without --incremental"
                )
            there = job.target.output.exists()
            return self.ledger.reason(self.key(job), job.source, self.identity, there)

        return _tried(job, reason)

    def outcomes(self, jobs: Sequence[Job], runner: Runner) -> Iterator[tuple[Job, Outcome]]:
        """Have the outputs made; those that may not be come last, each with its refusal."""
        refused: list[tuple[Job, ScorerError]] = []
        begun = self._begin(jobs, refused)
        for job, outcome in runner(begun, self._forced()):
            yield job, _tried(job, partial(self._finish, job, outcome))
        yield from refused

    def _forced(self) -> Settings:
        return replace(self.settings, policy=replace(self.settings.policy, force=True))

    def _finish(self, job: Job, outcome: Outcome) -> Outcome:
        if isinstance(outcome, ScorerError):
            self.ledger.fail(self.key(job), str(outcome))
        else:
            self.ledger.finish(self.key(job), job.source, outcome.as_json())
            job.forget()
        return outcome

    def _begin(self, jobs: Sequence[Job], refused: list[tuple[Job, ScorerError]]) -> Iterator[Job]:
        """The jobs that may be done, each noted in the ledger when it is drawn."""
        for job in jobs:
            begun = _tried(job, partial(self._begin_one, job))
            if isinstance(begun, ScorerError):
                refused.append((job, begun))
            else:
                yield job

    def _begin_one(self, job: Job) -> None:
        key = self.key(job)
        if self.ledger.entry(key) is None:
            check_writable(job, self.settings)  # a file that no run of ours made
        self.ledger.begin(key, job.source, self.identity)


def _tried(job: Job, work: Callable[[], Result]) -> Result | ScorerError:
    """What `work` returns, or the error that ends this job alone; a broken ledger ends the run."""
    try:
        return work()
    except sqlite3.Error:
        raise
    except Exception as error:
        return as_expected(error, job.source.name)
