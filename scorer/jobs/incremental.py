"""Incremental runs: only what is new or changed, as the output folder's ledger tells."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain, islice
from typing import Any, TypeVar

from scorer.errors import InputError, ScorerError
from scorer.jobs.each import Outcome, Runner, collect_outcomes, watched_by
from scorer.jobs.ledger.file import Ledger
from scorer.jobs.ledger.place import Keeper, LedgerFolder, ledger_folder
from scorer.jobs.plan import RunPlan
from scorer.jobs.score import Job, check_writable
from scorer.jobs.settings import Settings, output_identity
from scorer.jobs.summary import Planned, RunSummary
from scorer.jobs.unexpected import as_expected
from scorer.model import Model
from scorer.scores import Scores
from scorer.tables import Reader, Window

Result = TypeVar("Result")


def run_incremental(
    model: Model,
    plan: RunPlan,
    settings: Settings,
    runner: Runner,
    summary: RunSummary,
) -> RunSummary:
    """Bring a folder of outputs up to date. Raises OutputBusy where another run is at it."""
    folder = ledger_folder(plan.folder)
    opened = folder.seen if settings.policy.dry_run else folder.held
    with opened(summary.run_id) as keeper:
        update = _Update(settings, output_identity(model, settings.spec), keeper, folder)
        decided = [(job, update.reason(job)) for job in plan.jobs]
        refused = [(job, why) for job, why in decided if isinstance(why, ScorerError)]
        todo = [(job, why) for job, why in decided if isinstance(why, str) and why]
        skipped = len(decided) - len(todo) - len(refused)
        unseen = tuple(f"{failure.input.rstrip('/')}/" for failure in plan.failures)
        gone = keeper.ledger.gone(update.key(job) for job in plan.jobs)
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


@dataclass(frozen=True)
class _Update:
    """Decides which outputs are to be made, and keeps the ledger while they are."""

    settings: Settings
    identity: Mapping[str, Any]
    keeper: Keeper
    folder: LedgerFolder

    @property
    def ledger(self) -> Ledger:
        return self.keeper.ledger

    def key(self, job: Job) -> str:
        return self.folder.key(job.target.output)

    def reason(self, job: Job) -> str | ScorerError:
        """Why the job's output is to be made, empty if it is not; or why that cannot be told."""

        def reason() -> str:
            if job.source.stat is None:
                raise InputError(
                    f"{job.source.name}: a stream has no size or time that would show a change: "
                    "score it without --incremental"
                )
            there = self.folder.exists(job.target.output)
            return self.ledger.reason(self.key(job), job.source, self.identity, there)

        return _tried(job, reason)

    def outcomes(self, jobs: Sequence[Job], runner: Runner) -> Iterator[tuple[Job, Outcome]]:
        """Have the outputs made; those that may not be come last, each with its refusal."""
        refused: list[tuple[Job, ScorerError]] = []
        begun = self._begin(jobs, refused)
        for job, outcome in watched_by(_Hold(self.keeper), runner)(begun, self._forced()):
            if isinstance(outcome, ScorerError):
                self.keeper.check()  # or another run may be making this output
            yield job, _tried(job, partial(self._finish, job, outcome))
            self.keeper.save_soon()
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
        """The jobs that may be done, each noted in the ledger before it is drawn."""
        left = iter(jobs)
        while block := list(islice(left, self.keeper.ahead)):
            self.keeper.check()
            tried = [(job, _tried(job, partial(self._begin_one, job))) for job in block]
            refused += [(job, why) for job, why in tried if isinstance(why, ScorerError)]
            self.keeper.save()
            yield from (job for job, why in tried if why is None)

    def _begin_one(self, job: Job) -> None:
        key = self.key(job)
        if self.ledger.entry(key) is None:
            check_writable(job, self.settings)  # a file that no run of ours made
        self.ledger.begin(key, job.source, self.identity)


@dataclass(frozen=True)
class _Hold:
    """Ends a table when another run may be at the folder."""

    keeper: Keeper

    def begin(self, reader: Reader) -> Sequence[str]:
        return ()

    def __call__(self, window: Window, scores: Scores) -> None:
        self.keeper.check()

    def end(self) -> None:
        """Nothing is open."""


def _tried(job: Job, work: Callable[[], Result]) -> Result | ScorerError:
    """What `work` returns, or the error that ends this job alone; a broken ledger ends the run."""
    try:
        return work()
    except sqlite3.Error:
        raise
    except Exception as error:
        return as_expected(error, job.source.name)
