"""What a run did: counts, timings, and which model with which settings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from pydantic import TypeAdapter

from scorer.evaluation.drift.histograms import Drift
from scorer.evaluation.labelled import Baseline, LabelSource, LeftOut
from scorer.evaluation.part import Figure
from scorer.evaluation.predictions import Predictions


@dataclass(frozen=True)
class FileSummary:
    """One input. `read` = `scored` + `unscored` + `rejected`, checked before publishing.

    `resumed` rows had been scored by an interrupted run. `seconds` are by stage; `score` and
    `encode` are summed over the threads. `predictions` counts what was said, `drift` compares the
    texts and scores with the card's histograms. `labels`, `left_out`, `figures`, `baseline` and the
    `report` folder are there where the table has labels.
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
    reason: str = ""
    predictions: Predictions | None = None
    drift: Drift | None = None
    labels: LabelSource | None = None
    left_out: Sequence[LeftOut] = ()
    report: str | None = None
    figures: Mapping[str, Figure] = field(default_factory=dict)
    baseline: Baseline | None = None
    notes: Sequence[str] = ()

    def as_json(self) -> dict[str, Any]:
        """The summary as plain JSON values."""
        values: dict[str, Any] = _file_adapter().dump_python(self, mode="json")
        return values


@dataclass(frozen=True)
class Failure:
    """An input that was not scored, and why; nothing was published for it."""

    input: str
    error: str
    exit_code: int


@dataclass(frozen=True)
class Planned:
    """What a dry run would do, and why."""

    input: str
    output: str
    reason: str


@dataclass(frozen=True)
class ModelSummary:
    name: str
    version: str
    sha256: str
    engine: str


@dataclass(frozen=True)
class RunSummary:
    """A whole run, from the model loaded and no input opened to the last output published.

    skipped   inputs that an incremental run found unchanged
    removed   inputs of earlier incremental runs that are gone; their outputs stay
    ignored   files of input folders that are not tables
    warnings  what of the inputs was left out, and why
    compile_s what loading the model spent on compiling kernels, before the run: no part of
              `elapsed_s`, nor of the files' `seconds`
    """

    run_id: str
    started_at: str
    scorer: str
    model: ModelSummary
    settings: Mapping[str, Any]
    files: Sequence[FileSummary] = ()
    failures: Sequence[Failure] = ()
    planned: Sequence[Planned] = ()
    skipped: int = 0
    removed: Sequence[str] = ()
    ignored: Sequence[str] = ()
    warnings: Sequence[str] = ()
    elapsed_s: float = 0.0
    compile_s: float = 0.0

    @property
    def exit_code(self) -> int:
        """Of a single failed input its own, of several 1; 3 where rows were rejected; else 0."""
        if self.failures:
            alone = len(self.failures) == 1 and not self.files and not self.skipped
            return self.failures[0].exit_code if alone else 1
        return 3 if self.total("rejected") else 0

    def total(self, count: str) -> int:
        """The sum of one of the counts over the files."""
        return sum(getattr(file, count) for file in self.files)

    def totals(self) -> dict[str, Any]:
        """What became of the run as a whole: a few numbers, however many files it had."""
        return {
            "exit_code": self.exit_code,
            "files": len(self.files),
            "failures": len(self.failures),
            "planned": len(self.planned),
            "skipped": self.skipped,
            "rows": self.rows,
            "rows_per_s": self.rows_per_s,
            "elapsed_s": self.elapsed_s,
            "compile_s": self.compile_s,
        }

    @property
    def rows(self) -> dict[str, int]:
        """The files' counts of rows, summed."""
        return {name: self.total(name) for name in ("read", "scored", "unscored", "rejected")}

    @property
    def rows_per_s(self) -> float | None:
        return round(self.total("read") / self.elapsed_s, 1) if self.elapsed_s else None

    def as_json(self) -> dict[str, Any]:
        """The summary as plain JSON values, with the totals and the throughput."""
        values: dict[str, Any] = _run_adapter().dump_python(self, mode="json")
        return {**values, "rows": self.rows, "rows_per_s": self.rows_per_s}


def read_summary(text: str) -> FileSummary:
    """A file's summary from its JSON. Raises pydantic's ValidationError where it is not one."""
    return _file_adapter().validate_json(text, strict=True)


@cache
def _file_adapter() -> TypeAdapter[FileSummary]:
    return TypeAdapter(FileSummary)


@cache
def _run_adapter() -> TypeAdapter[RunSummary]:
    return TypeAdapter(RunSummary)
