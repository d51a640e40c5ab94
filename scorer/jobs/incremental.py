"""Incremental runs: only what is new or changed, as the output folder's ledger tells."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from scorer.errors import ScorerError, UsageError
from scorer.files import output_errors
from scorer.jobs.each import Outcome, Runner, do_each
from scorer.jobs.ledger import FILE, Ledger, open_ledger
from scorer.jobs.plan import Plan
from scorer.jobs.publish import locked
from scorer.jobs.score import Job, Settings, check_writable, settings_identity
from scorer.jobs.summary import Planned, RunSummary
from scorer.model import Model
from scorer.tables.remote import is_url

LOCK = ".scorer.lock"


def run_incremental(
    model: Model,
    plan: Plan,
    settings: Settings,
    runner: Runner,
    summary: RunSummary,
) -> RunSummary:
    """Bring a folder of outputs up to date. Raises OutputBusy where another run is at it."""
    if plan.folder is None or is_url(plan.folder):
        raise UsageError("--incremental keeps its ledger in a local folder: name one as --output")
    folder = Path(plan.folder)
    with _ledger(folder, summary.run_id, dry_run=settings.dry_run) as ledger:
        update = _Update(model, settings, ledger, folder)
        todo = [(job, why) for job in plan.jobs if (why := update.reason(job))]
        removed = ledger.gone(update.key(job) for job in plan.jobs)
        summary = replace(summary, skipped=len(plan.jobs) - len(todo), removed=removed)
        if settings.dry_run:
            planned = [Planned(job.source.name, job.output_name, why) for job, why in todo]
            return replace(summary, planned=planned)
        files, failures = do_each(todo, update.outcomes([job for job, _ in todo], runner))
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
    busy = f"{folder}: another incremental run is at it"
    with locked(folder / LOCK, busy), open_ledger(folder / FILE, run_id) as ledger:
        yield ledger


@dataclass(frozen=True)
class _Update:
    """Decides which outputs are to be made, and keeps the ledger while they are."""

    model: Model
    settings: Settings
    ledger: Ledger
    folder: Path

    @property
    def identity(self) -> Mapping[str, Any]:
        return settings_identity(self.model, self.settings)

    def key(self, job: Job) -> str:
        return Path(job.target.name).relative_to(self.folder).as_posix()

    def reason(self, job: Job) -> str:
        there = job.target.output.exists()
        return self.ledger.reason(self.key(job), job.source, self.identity, there)

    def outcomes(self, jobs: Sequence[Job], runner: Runner) -> Iterator[tuple[Job, Outcome]]:
        """Have the outputs made; those that may not be come last, each with its refusal."""
        refused: list[tuple[Job, ScorerError]] = []
        begun = self._begin(jobs, refused)
        for job, outcome in runner(begun, replace(self.settings, force=True)):
            if isinstance(outcome, ScorerError):
                self.ledger.fail(self.key(job), str(outcome))
            else:
                self.ledger.finish(self.key(job), job.source, asdict(outcome))
                job.forget()
            yield job, outcome
        yield from refused

    def _begin(self, jobs: Sequence[Job], refused: list[tuple[Job, ScorerError]]) -> Iterator[Job]:
        """The jobs that may be done, each noted in the ledger when it is drawn."""
        for job in jobs:
            key = self.key(job)
            try:
                if self.ledger.entry(key) is None:
                    check_writable(job, self.settings)  # a file that is none of ours
                self.ledger.begin(key, job.source, self.identity)
            except ScorerError as error:
                refused.append((job, error))
            else:
                yield job
