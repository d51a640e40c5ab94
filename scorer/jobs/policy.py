"""How a run behaves. Nothing here shows in what it publishes, so nothing has an identity."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from enum import StrEnum
from typing import Any

from scorer.checks import check_at_least
from scorer.errors import UsageError
from scorer.processors import available_cpus

#: marks a field on which the journal depends: where windows are cut, not what is in them
JOURNAL = {"journal": True}


class Resume(StrEnum):
    """Whether to go on from the journal of an interrupted run."""

    NEVER = "never"
    MUST = "must"  # refuse where that was another run
    MAY = "may"  # start over where that was another run


@dataclass(frozen=True)
class RunPolicy:
    """How a run behaves. Neither `threads` nor `batch_size` changes a score by a single bit.

    threads      workers that score; each takes a window at a time
    batch_size   rows of a window; None: as many as suit engine and texts
    force        replace outputs that are there
    resume       whether to go on from an interrupted run's journal
    incremental  only what is new or changed; goes on from a journal where it fits
    dry_run      say what would be done
    max_rejects  unreadable rows to set aside before the run stops; None: any number
    """

    threads: int = field(default_factory=available_cpus)
    batch_size: int | None = field(default=None, metadata=JOURNAL)
    force: bool = False
    resume: Resume = Resume.NEVER
    incremental: bool = False
    dry_run: bool = False
    max_rejects: int | None = None

    def __post_init__(self) -> None:
        check_at_least("threads", self.threads, 1)
        check_at_least("batch_size", self.batch_size, 1)
        check_at_least("max_rejects", self.max_rejects, 0)
        if self.resume is Resume.MUST and self.incremental:
            raise UsageError("--incremental resumes by itself: leave --resume out")

    @property
    def must_resume(self) -> bool:
        return self.resume is Resume.MUST

    @property
    def journal_use(self) -> Resume:
        """How to use a journal that is there."""
        return Resume.MAY if self.incremental else self.resume

    def journal_fields(self) -> dict[str, Any]:
        """The fields on which the journal depends."""
        marked = [item.name for item in fields(self) if "journal" in item.metadata]
        return {name: getattr(self, name) for name in marked}
