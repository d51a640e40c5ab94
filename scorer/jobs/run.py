"""A whole run over the jobs of a plan, and the summary of it."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from time import perf_counter

from scorer import __version__
from scorer.jobs.each import LocalRunner, Runner, collect_outcomes
from scorer.jobs.events import tell
from scorer.jobs.incremental import run_incremental
from scorer.jobs.plan import RunPlan
from scorer.jobs.score import check_writable
from scorer.jobs.settings import Settings
from scorer.jobs.summary import ModelSummary, Planned, RunSummary
from scorer.jobs.table import Watcher
from scorer.model import Model

log = logging.getLogger(__name__)


def new_run_id() -> str:
    """Sorts by time, and no two runs share it: 20260131T235959Z-9f8e7d."""
    return f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{secrets.token_hex(3)}"


def run_jobs(
    model: Model,
    plan: RunPlan,
    settings: Settings,
    watchers: Sequence[Watcher] = (),
    run_id: str | None = None,
    runner: Runner | None = None,
) -> RunSummary:
    """Score the jobs of a plan; what fails is in the summary's `failures`.

    Without a `runner` they are done here, one after another, followed by the `watchers`. Raises
    what concerns the run as a whole: OutputBusy where another incremental run holds the folder,
    UsageError where an incremental run has none, InputError for a broken ledger.
    """
    runner = runner or LocalRunner(model, watchers)
    started = perf_counter()
    summary = _begin(model, plan, settings, run_id or new_run_id())
    tell("run_started", model=model.ref, inputs=len(plan.jobs))
    for warning in plan.warnings:
        log.warning("%s", warning)
    for failure in plan.failures:
        fields = {"input": failure.input, "exit_code": failure.exit_code}
        tell("file_failed", failure.error, level=logging.ERROR, **fields)
    if settings.policy.incremental:
        summary = run_incremental(model, plan, settings, runner, summary)
    elif settings.policy.dry_run:
        summary = _rehearse(plan, settings, summary)
    else:
        summary = _run(plan, settings, runner, summary)
    summary = replace(
        summary,
        failures=[*plan.failures, *summary.failures],
        elapsed_s=round(perf_counter() - started, 3),
    )
    tell("run_done", **summary.totals())
    return summary


def _begin(model: Model, plan: RunPlan, settings: Settings, run_id: str) -> RunSummary:
    card = model.card.scorer
    return RunSummary(
        run_id=run_id,
        started_at=datetime.now(UTC).isoformat(timespec="seconds"),
        scorer=__version__,
        model=ModelSummary(card.name, card.version, model.digest, model.engine.name),
        settings=settings.as_dict(),
        ignored=plan.ignored,
        warnings=plan.warnings,
        compile_s=round(model.compile_s, 3),
    )


def _run(plan: RunPlan, settings: Settings, runner: Runner, summary: RunSummary) -> RunSummary:
    todo = [(job, "asked for") for job in plan.jobs]
    files, failures = collect_outcomes(todo, runner(plan.jobs, settings))
    if not failures:
        # Noted until now, so that an interrupted run over many files knows which are finished.
        for job in plan.jobs:
            job.forget()
    return replace(summary, files=files, failures=failures)


def _rehearse(plan: RunPlan, settings: Settings, summary: RunSummary) -> RunSummary:
    """What a run would do. Raises OutputExists where it would refuse to."""
    for job in plan.jobs:
        check_writable(job, settings)
    planned = [Planned(job.source.name, job.output_name, "asked for") for job in plan.jobs]
    return replace(summary, planned=planned)
