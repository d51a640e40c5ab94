"""What a run makes: every setting that shows in what it publishes, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from scorer.evaluation.request import EvaluationOptions
from scorer.tables import ColumnChoice, ReadOptions
from scorer.tasks import OutputOptions

#: the field that shows in the report alone: recorded scores stay good when it changes
REPORT = "evaluation"


@dataclass(frozen=True)
class OutputSpec:
    """What the outputs and their reports hold. A new field changes the identity by itself.

    text_column   the column to score; None: as the model's card says
    output        which columns are appended
    read          how text files are written
    columns       which columns of the input are written
    csv_safe      change cells of CSV that a spreadsheet would take for formulas
    split_output  write a folder of parts instead of a file
    evaluation    by which columns to evaluate while scoring; None: write no report
    """

    text_column: str | None = None
    output: OutputOptions = field(default_factory=OutputOptions)
    read: ReadOptions = field(default_factory=ReadOptions)
    columns: ColumnChoice = field(default_factory=ColumnChoice)
    csv_safe: bool = False
    split_output: bool = False
    evaluation: EvaluationOptions | None = field(default_factory=EvaluationOptions)

    def identity(self) -> dict[str, Any]:
        """All fields, by their paths: {"text_column": None, "output.prefix": "", ...}."""
        return dict(_leaves("", asdict(self)))

    def scores_identity(self) -> dict[str, Any]:
        """The identity without what shows in the report alone."""
        return {key: value for key, value in self.identity().items() if not _of_report(key)}


def _of_report(key: str) -> bool:
    return key.partition(".")[0] == REPORT


def _leaves(path: str, values: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _leaves(f"{path}{name}.", value)
        else:
            yield f"{path}{name}", value
