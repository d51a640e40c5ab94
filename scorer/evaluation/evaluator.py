"""Evaluates while windows stream by: collects a few bytes a row, computes everything at the end.

Held per row: 2 bytes for the label (1 for each label, where a row may have several; 4 for unknown
tokens, where there is no label), 4 for its tokens, 4 for every output of every model, 4 for every
slice column; 8 for a number that float32 would change. Texts are kept of the few rows that are
shown.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from scorer.card import ScorerCard
from scorer.errors import ColumnError
from scorer.evaluation.drift.histograms import DriftCounter
from scorer.evaluation.ids import RowNames
from scorer.evaluation.labelled import LabelSource
from scorer.evaluation.labels.meaning import LabelRules
from scorer.evaluation.labels.shared import own_map, shared_labels
from scorer.evaluation.labels.truth import TRUTH_COLUMNS, TruthColumn, quoted
from scorer.evaluation.labels.understood import understood
from scorer.evaluation.predictions import PredictionCounter
from scorer.evaluation.request import Request, Subject
from scorer.evaluation.sections.compare import spread
from scorer.evaluation.slices import SliceColumn
from scorer.evaluation.top import TEXT, TEXT_CHARACTERS, KeptRow, TopRows
from scorer.scores import Scores
from scorer.tables import Window

MISTAKES = 20
SHOWN_UNUSABLE = 8


@dataclass(eq=False)
class Collected:
    """What one model said: outputs of every row (NaN where unscored), tokens, drift; its labels."""

    subject: Subject
    truth: TruthColumn
    drift: DriftCounter
    predictions: PredictionCounter
    outputs: list[NDArray[np.float32]] = field(default_factory=list)
    lengths: SliceColumn = field(default_factory=lambda: SliceColumn("text length in tokens"))
    unknown: list[NDArray[np.int32]] = field(default_factory=list)
    mistakes: TopRows = field(default_factory=lambda: TopRows(MISTAKES))
    scored: int = 0

    def all_outputs(self) -> NDArray[np.float32]:
        """float32 (rows, k): of every row so far."""
        if not self.outputs:
            return np.zeros((0, self.subject.card.outputs), dtype=np.float32)
        self.outputs = [np.concatenate(self.outputs)]
        return self.outputs[0]


class Evaluator:
    """One or several models on the same rows. Feed it windows in order, then `finish`.

    An observer of `scorer.pipeline.run` for a single model.
    """

    def __init__(self, subjects: Sequence[Subject], request: Request) -> None:
        self.shared = shared_labels(subjects)
        self.request = request
        # Models of the same labels read them alike.
        self._truths = {
            card.labels: TRUTH_COLUMNS[card.task.truth](
                LabelRules(card.labels, own_map(request.label_map, card))
            )
            for card in (subject.card for subject in subjects)
        }
        self.models = [
            Collected(
                subject,
                self._truths[subject.card.labels],
                DriftCounter(subject.problem, subject.card.training_profile),
                PredictionCounter(subject.problem),
            )
            for subject in subjects
        ]
        self.table = ""  # whose rows come, for messages
        self.text_column: str | None = None
        self.slices = {name: SliceColumn(name) for name in request.slices}
        self.differing = TopRows(MISTAKES)
        self.names = RowNames(request.ids, request.id_column)
        self.rows = self.read = self.rejected = self._file_start = 0
        explained = [s.card for s in subjects if s.explain is not None]
        self._given = given_columns(explained) if explained else None
        self._makes_sense = not (request.asked and request.label_columns)

    def __call__(self, window: Window, scores: Scores) -> None:
        """Take in a window of the single model."""
        self.add(window, [scores])

    def add(self, window: Window, scores: Sequence[Scores]) -> None:
        """Take in a window with the scores of every model.

        Raises ColumnError where the label column that was asked for makes no sense to the model.
        """
        numbers = self._row_numbers(window)
        added = self._add_labels(window)
        for name, column in self.slices.items():
            column.add(window.table.column(name))
        outputs = [
            np.where(said.scored[:, None], said.outputs, np.float32(np.nan)) for said in scores
        ]
        self.names.add(window)
        keep = _Keeper(
            window,
            numbers,
            outputs,
            lambda i: self._label(window, added, i),
            self._given,
            lambda i: self.names.of(window, i),
        )
        for at, (model, said) in enumerate(zip(self.models, scores, strict=True)):
            model.drift.add(said)
            model.predictions.add(said)
            model.scored += int(np.count_nonzero(said.scored))
            model.outputs.append(outputs[at])
            model.lengths.add(pa.array(said.n_tokens))
            if not added:
                model.unknown.append(said.n_oov)
            else:
                self._keep_mistakes(model, added[model.truth], outputs[at], keep)
        if len(self.models) > 1:
            self._keep_differing(outputs, keep)
        self.rows += window.rows

    def _row_numbers(self, window: Window) -> NDArray[np.int64]:
        """int64 (rows,): rows of the inputs counted from 1, unreadable ones included."""
        if window.index == 0:
            self._file_start = self.read
        total = window.rows + len(window.rejects)
        numbers = np.arange(self.read + 1, self.read + total + 1, dtype=np.int64)
        unreadable = [self._file_start + reject.row for reject in window.rejects]
        self.read += total
        self.rejected += len(unreadable)
        return numbers[~np.isin(numbers, unreadable)] if unreadable else numbers

    def _add_labels(self, window: Window) -> dict[TruthColumn, NDArray[Any]]:
        """What the label columns give of a window, (rows, ...); empty without any."""
        if not self.request.label_columns:
            return {}
        columns = self._label_columns(window)
        added = {truth: truth.add(columns) for truth in self._truths.values()}
        if not self._makes_sense:
            sensible = [truth.sensible(found) for truth, found in added.items()]
            for truth, makes_sense in zip(added, sensible, strict=True):
                if makes_sense is False:
                    raise refused(self, truth, truth.values(columns))
            self._makes_sense = all(sensible)
        return added

    def _label_columns(self, window: Window) -> list[pa.Array]:
        return [window.table.column(name) for name in self.request.label_columns]

    def _label(self, window: Window, added: dict[TruthColumn, NDArray[Any]], i: int) -> str | None:
        """The label of a window's row in words, None where it has none."""
        for truth, found in added.items():
            return truth.said(self._label_columns(window), found, i)
        return None

    def _keep_mistakes(
        self, model: Collected, added: NDArray[Any], outputs: NDArray[np.float32], keep: _Keeper
    ) -> None:
        for wrong in model.truth.mistakes(model.subject.problem, added, outputs):
            keep.offer(model.mistakes, wrong.group, wrong.size, wrong.rows)

    def _keep_differing(self, outputs: Sequence[NDArray[np.float32]], keep: _Keeper) -> None:
        if not self.shared.same:
            problems = [model.subject.problem for model in self.models]
            outputs = [
                self.shared.probabilities(at, problem, own)
                for at, (problem, own) in enumerate(zip(problems, outputs, strict=True))
            ]
        size = spread(outputs)
        keep.offer(self.differing, "spread", size, np.flatnonzero(size > 0))

    def label_source(self, truth: TruthColumn) -> LabelSource | None:
        """How many rows have a label that means something, and what the others say."""
        if not self.request.label_columns:
            return None
        found = truth.count(self.rows)
        shown = sorted(found.unusable_values.items(), key=lambda item: -item[1])[:SHOWN_UNUSABLE]
        return LabelSource(
            column=self.request.label_name,
            rule=f"{found.kind}: {found.reading}" if found.reading else found.kind,
            understood=understood(self.request.label_name, found, self.rows),
            usable=found.usable,
            blank=found.blank,
            unusable=self.rows - found.usable - found.blank,
            unusable_values=dict(shown),
        )


@dataclass(frozen=True)
class _Keeper:
    """Turns rows of a window into `KeptRow`s when they are worth it."""

    window: Window
    numbers: NDArray[np.int64]
    outputs: Sequence[NDArray[np.float32]]
    label: Callable[[int], str | None]
    given: Sequence[str] | None
    names: Callable[[int], dict[str, str]]

    def offer(
        self, top: TopRows, group: Any, keys: NDArray[np.floating[Any]], rows: NDArray[np.int64]
    ) -> None:
        """Offer the rows (indices into the window) with their `keys` (of the whole window)."""
        if len(rows):
            top.add(group, keys[rows], self.numbers[rows], lambda i: self._kept(int(rows[i])))

    def _kept(self, i: int) -> KeptRow:
        label = self.label(i)
        return KeptRow(
            row=int(self.numbers[i]),
            text=_cut(self.window.texts[i].as_py() or "", TEXT_CHARACTERS),
            label=None if label is None else _cut(label, 80),
            outputs=tuple(tuple(float(v) for v in out[i]) for out in self.outputs),
            given=None if self.given is None else self._given(self.given, i),
            names=self.names(i),
        )

    def _given(self, columns: Sequence[str], i: int) -> pa.Table:
        """The row as the models read it. Copied: a slice would keep the whole window."""
        table = self.window.table
        beside = {name: table.column(name) for name in columns if name in table.schema.names}
        return pa.table(
            {name: c.take([i]) for name, c in {**beside, TEXT: self.window.texts}.items()}
        )


def given_columns(cards: Sequence[ScorerCard]) -> tuple[str, ...]:
    """What models read beside the text."""
    composed = [name for card in cards if card.composition for name in card.composition.columns]
    return tuple(dict.fromkeys([*composed, *(n for card in cards for n in card.columns_beside)]))


def no_sense(evaluator: Evaluator, truth: TruthColumn, values: Sequence[str]) -> str:
    """The message for a label column whose values, none where all are blank, mean nothing."""
    if not values:
        return f"column {evaluator.request.label_name!r} is blank in every row: name another one"
    return truth.refusal(evaluator.request.label_name, quoted(values))


def refused(evaluator: Evaluator, truth: TruthColumn, values: Sequence[str]) -> ColumnError:
    """The error for a label column that was asked for, and means nothing to a model."""
    where = f"{evaluator.table}: " if evaluator.table else ""
    return ColumnError(where + no_sense(evaluator, truth, values))


def _cut(text: str, limit: int) -> str:
    return text if len(text) <= limit else text[: limit - 1] + "…"
