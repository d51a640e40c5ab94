"""How good models are on data, whether they keep their card's promises, and what has drifted.

evaluator.py collects window by window, finish.py computes, report/ shows; result.py is the schema.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from scorer.evaluation.request import Wanted
    from scorer.evaluation.result import Report
    from scorer.model import Model

__all__ = ["evaluate_file"]


def evaluate_file(
    models: Model | Sequence[Model],
    path: str | Path,
    *,
    wanted: Wanted | None = None,
    text_column: str | None = None,
    threads: int = 1,
) -> Report:
    """Evaluate one or several models on a table, as `evaluate` does, without writing anything.

    `wanted` names label column, label map, slices and threshold. Raises InputError, ColumnError,
    UsageError.
    """
    from scorer.evaluation.finish import finish
    from scorer.evaluation.request import Wanted
    from scorer.evaluation.run import Reading, evaluate_tables
    from scorer.tables import local_source

    several = list(models) if isinstance(models, Sequence) else [models]
    source = local_source(Path(path))
    reading = Reading(text_column=text_column, threads=threads)
    evaluator = evaluate_tables(several, [source], wanted or Wanted(), reading)
    return finish(evaluator, [source.name])
