"""The output of a job whose parts go to workers, held by the process that started the run."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from time import perf_counter

from scorer.errors import ScorerError
from scorer.jobs.each import Outcome
from scorer.jobs.parts.folder import (
    after_failure,
    begin_folder,
    check_folder,
    finished_before,
    locked_folder,
    parts_now,
)
from scorer.jobs.parts.scoring import Splitter
from scorer.jobs.parts.staged import Staged
from scorer.jobs.score import Job, check_resumable
from scorer.jobs.settings import Settings
from scorer.model import Model


@dataclass(frozen=True)
class HeldFolder:
    """A job, and the parts of its output. The output is locked until the job has ended."""

    job: Job
    begun: Staged
    _lock: ExitStack
    _started: float = field(default_factory=perf_counter)

    def ended(self, outcome: Outcome) -> Outcome:
        """What came of the job, with the time that it took; other runs may have the output now."""
        with self._lock:
            if isinstance(outcome, ScorerError):
                after_failure(self.begun, self.job, outcome)
                return outcome
        return replace(outcome, elapsed_s=round(perf_counter() - self._started, 3))

    def release(self) -> None:
        """Let go of the output; its parts stay for `--resume`."""
        self._lock.close()


def hold_folder(
    model: Model, job: Job, settings: Settings, splitter: Splitter
) -> HeldFolder | None:
    """Begin a job whose output is a folder; None where a worker is to do all of it.

    Raises OutputBusy, OutputExists, UsageError, InputError.
    """
    check_folder(job)
    check_resumable(job, settings)
    with ExitStack() as stack:
        stack.enter_context(locked_folder(job))
        if finished_before(model, job, settings) is not None:
            return None
        parts = parts_now(model, job, settings, splitter)
        if not parts:
            return None
        begun = begin_folder(model, job, settings, parts)
        return HeldFolder(job, begun, stack.pop_all())
