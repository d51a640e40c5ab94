"""What to evaluate, and by which columns of a table. Light: every `score` run imports it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from scorer.card import ScorerCard
from scorer.checks import check_share
from scorer.errors import ColumnError
from scorer.evaluation.labels import choose_label_column, parse_label_map
from scorer.model import Model
from scorer.tables import Reader
from scorer.tables.columns import missing
from scorer.tasks import Problem


@dataclass(frozen=True)
class EvaluationOptions:
    """What the user asks to evaluate by. `label_map` holds VALUE=LABEL pairs."""

    label_column: str | None = None
    label_map: tuple[str, ...] = ()
    slices: tuple[str, ...] = ()
    threshold: float | None = None

    def __post_init__(self) -> None:
        check_share("threshold", self.threshold)


@dataclass(frozen=True)
class Subject:
    """A model under evaluation. `threshold` replaces the card's (binary models only)."""

    ref: str
    sha256: str
    card: ScorerCard
    threshold: float | None = None

    @property
    def problem(self) -> Problem:
        return self.card.problem(self.threshold)


@dataclass(frozen=True)
class Request:
    """What to evaluate by. `asked`: the label column was named, so that it must make sense."""

    label_column: str | None = None
    asked: bool = False
    label_map: Mapping[str, str] = field(default_factory=dict)
    slices: tuple[str, ...] = ()

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns to read beside the text."""
        label = (self.label_column,) if self.label_column else ()
        return tuple(dict.fromkeys((*label, *self.slices)))


def subject(model: Model, options: EvaluationOptions) -> Subject:
    """The model as the evaluation sees it."""
    return Subject(model.ref, model.digest, model.card.scorer, options.threshold)


def request(model: Model, reader: Reader, options: EvaluationOptions) -> Request:
    """The columns of `reader` to evaluate `model` by. Raises ColumnError where one is missing."""
    present, card = reader.schema.names, model.card.scorer
    if not present:
        return Request()  # an empty text file has no columns, nor rows
    label = choose_label_column(reader.name, present, options.label_column, card.label_columns)
    asked = options.label_column is not None or bool(options.label_map)
    if label is not None and not asked and present.count(label) > 1:
        label = None  # found by chance, and no telling which of the two
    if label is None and options.label_map:
        raise ColumnError(
            f"{reader.name}: no label column for --label-map: name it with --label-column"
        )
    for column in (*options.slices, *((label,) if label else ())):
        if column not in present:
            raise ColumnError(f"{reader.name}: no column {column!r}{missing([column], present)}")
        if present.count(column) > 1:
            raise ColumnError(f"{reader.name}: two columns are named {column!r}: rename one")
    return Request(label, asked, parse_label_map(options.label_map, card), options.slices)
