"""Metrics, slices, drift and reports of models on data, compared with their cards.

evaluator.py collects window by window, finish.py computes, report/ shows; result.py is the schema.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from scorer.evaluation.request import EvaluationOptions
    from scorer.evaluation.result import Report
    from scorer.model import Model
    from scorer.tables import ReadOptions

__all__ = ["evaluate_file"]


def evaluate_file(
    models: Model | Sequence[Model],
    path: str | Path,
    *,
    options: EvaluationOptions | None = None,
    read: ReadOptions | None = None,
    text_column: str | None = None,
    threads: int = 1,
    report: str | Path | None = None,
) -> Report:
    """Evaluate one or several models on a table, as `evaluate` does.

    `options` name label column, label map, slices and threshold, `read` says how the file is
    written; `report` is a folder to write `report.json` and `report.html` into. Raises InputError,
    ColumnError, OutputError, UsageError.
    """
    from scorer.evaluation.folder import ReportFolder
    from scorer.evaluation.request import EvaluationOptions
    from scorer.evaluation.run import Reading, evaluate
    from scorer.tables import ReadOptions, local_source

    reading = Reading(text_column, read or ReadOptions(), threads=threads)
    several = list(models) if isinstance(models, Sequence) else [models]
    folder = None if report is None else ReportFolder(Path(report))
    return evaluate(
        several,
        [local_source(Path(path))],
        options or EvaluationOptions(),
        reading,
        folder=folder,
    )
