"""What to evaluate, and by which columns of a table. Light: every `score` run imports it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

import pyarrow as pa

from scorer.binding import Binding
from scorer.card import ScorerCard
from scorer.checks import check_share
from scorer.errors import ColumnError
from scorer.evaluation.ids import candidates
from scorer.evaluation.labels.meaning import choose_label_columns, parse_label_map
from scorer.evaluation.top import TEXT
from scorer.model import Model
from scorer.tables import Reader
from scorer.tables.columns import missing
from scorer.tasks import Problem

if TYPE_CHECKING:
    from scorer.evaluation.why import Explain
    from scorer.explain import Explanation


@dataclass(frozen=True)
class EvaluationOptions:
    """What the user asks to evaluate by. `label_map` holds VALUE=LABEL pairs.

    label_column   the column of the truth; of a multilabel model also one for each label
    unlabelled     write a report also where there are no labels
    id_column      what names a row in the report; None: the first column whose values all differ
    """

    label_column: str | tuple[str, ...] | None = None
    label_map: tuple[str, ...] = ()
    slices: tuple[str, ...] = ()
    threshold: float | None = None
    unlabelled: bool = False
    id_column: str | None = None

    def __post_init__(self) -> None:
        check_share("threshold", self.threshold)

    @property
    def label_columns(self) -> tuple[str, ...]:
        """The columns that were named, none where the card says which."""
        named = self.label_column or ()
        return (named,) if isinstance(named, str) else tuple(named)


@dataclass(frozen=True)
class Subject:
    """A model under evaluation. `threshold` replaces the card's, where a task takes one.

    explain   says which words moved the scores of some rows; None where it takes too long
    """

    ref: str
    sha256: str
    card: ScorerCard
    threshold: float | None = None
    explain: Explain | None = field(default=None, compare=False, repr=False)

    @property
    def problem(self) -> Problem:
        return self.card.problem(self.threshold)


@dataclass(frozen=True)
class Request:
    """What to evaluate by.

    asked      the label columns were named, so that they must make sense
    id_column  what names a row in the report; None: one of `ids`, if its values all differ
    ids        columns to read for it; another table may have others
    """

    label_columns: tuple[str, ...] = ()
    asked: bool = False
    label_map: Mapping[str, str] = field(default_factory=dict)
    slices: tuple[str, ...] = ()
    id_column: str | None = None
    ids: tuple[str, ...] = field(default=(), compare=False)

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns to read beside the text."""
        return tuple(dict.fromkeys((*self.label_columns, *self.slices, *self.ids)))

    @property
    def label_name(self) -> str:
        """The label columns in words."""
        return ", ".join(self.label_columns)


def subject(model: Model, options: EvaluationOptions) -> Subject:
    """The model as the evaluation sees it."""
    # What one text takes is hundreds of texts scored, which only the cpu engine does at once.
    explain = partial(_explain, model) if model.engine.name == "cpu" else None
    return Subject(model.ref, model.digest, model.card.scorer, options.threshold, explain)


def _explain(model: Model, row: pa.Table) -> Sequence[Explanation | None]:
    """What explains a row; what its table lacks was told when the model was bound to it."""
    texts = Binding(model, TEXT).read(row[TEXT].combine_chunks(), row)
    return model.explainer(texts, row)


def request(model: Model, reader: Reader, options: EvaluationOptions) -> Request:
    """The columns of `reader` to evaluate `model` by. Raises ColumnError where one is missing."""
    present, card = reader.schema.names, model.card.scorer
    if not present:
        return Request()  # an empty text file has no columns, nor rows
    labels = choose_label_columns(reader.name, present, options.label_columns, card)
    asked = bool(options.label_columns or options.label_map)
    if not asked and any(present.count(column) > 1 for column in labels):
        labels = ()  # found by chance, and no telling which of the two
    if options.label_map and not labels:
        raise ColumnError(
            f"{reader.name}: no label column for --label-map: choose one with --label-column"
        )
    if options.label_map and len(labels) > 1:
        raise ColumnError(
            f"{reader.name}: --label-map is for one column of labels, and the columns "
            f"{', '.join(labels)} hold 0 or 1: leave it out, or name one column with --label-column"
        )
    named = () if options.id_column is None else (options.id_column,)
    for column in (*options.slices, *labels, *named):
        if column not in present:
            raise ColumnError(f"{reader.name}: no column {column!r}{missing([column], present)}")
        if present.count(column) > 1:
            raise ColumnError(f"{reader.name}: two columns are named {column!r}: rename one")
    # Without labels no row is shown that would need a name.
    ids = named or candidates(reader.schema, (*labels, *card.text_columns)) if labels else ()
    mapped = parse_label_map(options.label_map, card)
    return Request(labels, asked, mapped, options.slices, options.id_column, ids)
