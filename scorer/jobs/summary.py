"""What a run did: counts, timings, and which model with which settings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class FileSummary:
    """One input. `read` = `scored` + `unscored` + `rejected`, checked before publishing.

    `resumed` rows had been scored by an interrupted run. `seconds` are by stage; `score` and
    `encode` are summed over the threads.
    """

    input: str
    output: str
    rejects: str | None
    text_column: str | None
    read: int
    scored: int
    unscored: int
    rejected: int
    resumed: int
    elapsed_s: float
    seconds: Mapping[str, float]


@dataclass(frozen=True)
class Failure:
    """An input that was not scored, and why; nothing was published for it."""

    input: str
    error: str


@dataclass(frozen=True)
class ModelSummary:
    name: str
    version: str
    sha256: str
    engine: str


@dataclass(frozen=True)
class RunSummary:
    """A whole run, models loaded and first input not yet opened to last output published."""

    run_id: str
    scorer: str
    model: ModelSummary
    settings: Mapping[str, Any]
    files: Sequence[FileSummary] = ()
    failures: Sequence[Failure] = ()
    elapsed_s: float = 0.0

    @property
    def exit_code(self) -> int:
        """1 where an input failed, 3 where rows were rejected, else 0."""
        return 1 if self.failures else 3 if self.total("rejected") else 0

    def total(self, count: str) -> int:
        """The sum of one of the counts over the files."""
        return sum(getattr(file, count) for file in self.files)

    def as_json(self) -> dict[str, Any]:
        """The summary as plain JSON values, with the totals and the throughput."""
        counts = {name: self.total(name) for name in ("read", "scored", "unscored", "rejected")}
        rate = round(counts["read"] / self.elapsed_s, 1) if self.elapsed_s else None
        return {**asdict(self), "rows": counts, "rows_per_s": rate}
