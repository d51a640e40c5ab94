"""Evaluates a table while it is scored: drift always, and a report where there are labels."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scorer.evaluation.drift import DriftCounter
from scorer.evaluation.request import Request, Wanted, request, subject
from scorer.model import Model, Scores
from scorer.tables import Reader, Window
from scorer.tables.source import shown

if TYPE_CHECKING:
    from scorer.evaluation.evaluator import Evaluator


class TableEvaluation:
    """A watcher of one table. `wanted` None: drift only. `folder` None: nowhere to write."""

    def __init__(self, model: Model, wanted: Wanted | None, folder: Path | None) -> None:
        self._model = model
        self._wanted = wanted
        self._folder = folder
        self._subject = subject(model, wanted or Wanted())
        self._drift = DriftCounter(self._subject.problem, model.card.scorer.reference)
        self._evaluator: Evaluator | None = None
        self._name = ""

    def begin(self, reader: Reader) -> Sequence[str]:
        """The columns of the labels and slices. Raises ColumnError, UsageError."""
        self._name = reader.name
        if self._wanted is None or self._folder is None:
            return ()
        asked: Request = request(self._model, reader, self._wanted)
        if asked.label_column is None:
            return ()
        # Only now: most runs have no labels, and need not wait for these imports.
        from scorer.evaluation.evaluator import Evaluator

        self._evaluator = Evaluator([self._subject], asked)
        return asked.columns

    def __call__(self, window: Window, scores: Scores) -> None:
        """Take in a window."""
        if self._evaluator is None:
            self._drift.add(scores)
        else:
            self._evaluator(window, scores)

    def end(self) -> None:
        """Nothing is held open."""

    def finish(self) -> dict[str, Any]:
        """Write the report; returns `drift`, `report`, `figures` and `notes` of the summary.

        Raises OutputError, and ColumnError where the labels asked for make no sense.
        """
        if self._evaluator is None:
            found = self._drift.result()
            return {"drift": found.model_dump(mode="json") if found else None}
        from scorer.evaluation.finish import finish
        from scorer.evaluation.report import write_report

        report = finish(self._evaluator, [self._name])
        model = report.models[0]
        written = None
        if model.evaluated and self._folder is not None:
            write_report(report, self._folder)
            written = shown(self._folder)
        return {
            "drift": model.drift.model_dump(mode="json") if model.drift else None,
            "report": written,
            "figures": {name: f.model_dump() for name, f in model.figures.items()},
            "notes": report.warnings,
        }
