"""Evaluates a table while it is scored: predictions and drift always; a report of labelled rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from scorer.errors import UsageError
from scorer.evaluation.drift.histograms import Drift, DriftCounter
from scorer.evaluation.drift.words import explained
from scorer.evaluation.folder import ReportFolder
from scorer.evaluation.labelled import Baseline, LabelSource, LeftOut
from scorer.evaluation.part import Figure
from scorer.evaluation.predictions import PredictionCounter, Predictions
from scorer.evaluation.request import EvaluationOptions, request, subject
from scorer.model import Model
from scorer.scores import Scores
from scorer.tables import Reader, Window
from scorer.tables.source import shown

if TYPE_CHECKING:
    from scorer.evaluation.evaluator import Evaluator
    from scorer.evaluation.result import Report


@dataclass(frozen=True)
class Evaluated:
    """What a table's summary says of its evaluation, see `FileSummary`."""

    drift: Drift | None
    predictions: Predictions | None
    labels: LabelSource | None = None
    left_out: Sequence[LeftOut] = ()
    report: str | None = None
    figures: Mapping[str, Figure] = field(default_factory=dict)
    baseline: Baseline | None = None
    notes: Sequence[str] = ()


class TableEvaluation:
    """A watcher of one table. `options` None: drift only. `folder` None: nowhere to write."""

    def __init__(
        self, model: Model, options: EvaluationOptions | None, folder: ReportFolder | None
    ) -> None:
        self._model = model
        self._options = options
        self._folder = folder
        self._subject = subject(model, options or EvaluationOptions())
        self._drift = DriftCounter(self._subject.problem, model.card.scorer.training_profile)
        self._predictions = PredictionCounter(self._subject.problem)
        self._evaluator: Evaluator | None = None
        self._name = ""

    @property
    def reports(self) -> bool:
        """Whether there is something to report, which takes the rows' texts too; after `begin`."""
        return self._evaluator is not None

    def begin(self, reader: Reader) -> Sequence[str]:
        """The columns of the labels and slices.

        Raises ColumnError, UsageError, and OutputExists where the report's folder is another's.
        """
        self._name = reader.name
        if self._options is not None and self._options.unlabelled and self._folder is None:
            raise UsageError(
                f"{reader.name}: --report needs a folder beside the output, and this output is not "
                "a file here: name one with --output, or use evaluate"
            )
        if self._options is None or self._folder is None:
            return ()
        asked = request(self._model, reader, self._options)
        if not asked.label_columns and not self._options.unlabelled:
            return ()
        self._folder.check()
        # Only now: most runs have no labels, and need not wait for these imports.
        from scorer.evaluation.evaluator import Evaluator

        self._evaluator = Evaluator([self._subject], asked)
        self._evaluator.table = reader.name
        return asked.columns

    def __call__(self, window: Window, scores: Scores) -> None:
        """Take in a window."""
        if self._evaluator is None:
            self._drift.add(scores)
            self._predictions.add(scores)
        else:
            self._evaluator(window, scores)

    def end(self) -> None:
        """Nothing is held open."""

    def finish(self, write: Callable[[Report], None], text_column: str | None) -> Evaluated:
        """Compute, and `write` the report where there is one; the texts were in `text_column`.

        Raises OutputError, and ColumnError where the labels asked for make no sense.
        """
        if self._evaluator is None or self._folder is None:
            said = self._predictions.result()
            return Evaluated(explained(self._drift.result(), said, self._subject.card), said)
        from scorer.evaluation.finish import finish

        self._evaluator.text_column = text_column
        report = finish(self._evaluator, [self._name])
        model = report.models[0]
        written = None
        if model.evaluated or (self._options is not None and self._options.unlabelled):
            write(report)
            written = shown(self._folder.path)
        return Evaluated(
            drift=model.drift,
            predictions=model.predictions,
            labels=model.label_source,
            left_out=model.left_out,
            report=written,
            figures=model.figures,
            baseline=model.baseline,
            notes=report.warnings,
        )
