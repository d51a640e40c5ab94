"""Evaluates while windows stream by: collects a few bytes a row, computes everything at the end.

Held per row: 2 bytes for the label, 4 for its tokens, 4 for every output of every model, 4 for
every slice column; 8 for a number that float32 would change. Texts are kept of the few rows that
are shown.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from scorer.errors import ColumnError, UsageError
from scorer.evaluation.blocks import look_up, occurrences
from scorer.evaluation.columns import CodedColumn, NumberColumn
from scorer.evaluation.compare import spread
from scorer.evaluation.drift import DriftCounter
from scorer.evaluation.labels import LabelRules, Meaning
from scorer.evaluation.request import Request, Subject
from scorer.evaluation.result import LabelSource
from scorer.evaluation.slices import SliceColumn
from scorer.evaluation.top import TEXT_CHARACTERS, KeptRow, TopRows
from scorer.model import Scores
from scorer.tables import Window
from scorer.tasks import Truth

MISTAKES = 20
MAX_LABEL_VALUES = 1_000
SHOWN_UNUSABLE = 8


@dataclass(eq=False)
class Collected:
    """What one model said: outputs of every row (NaN where unscored), tokens, drift."""

    subject: Subject
    drift: DriftCounter
    outputs: list[NDArray[np.float32]] = field(default_factory=list)
    lengths: SliceColumn = field(default_factory=lambda: SliceColumn("text length in tokens"))
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

    An observer of `scorer.pipeline.run` for a single model. Two that were fed consecutive parts
    of the data can be merged, with the result of feeding one with all.
    """

    def __init__(self, subjects: Sequence[Subject], request: Request) -> None:
        first = subjects[0]
        for other in subjects[1:]:
            if (other.card.task, other.problem.labels) != (first.card.task, first.problem.labels):
                raise UsageError(
                    f"{first.ref} and {other.ref} cannot be compared: they predict different "
                    f"things ({_described(first)}; {_described(other)})"
                )
        self.request = request
        self.problem = first.problem
        self.rules = LabelRules(first.card.labels, request.label_map)
        self.models = [Collected(s, DriftCounter(s.problem, s.card.reference)) for s in subjects]
        self.labels = CodedColumn(MAX_LABEL_VALUES)
        self.values = NumberColumn()
        self.slices = {name: SliceColumn(name) for name in request.slices}
        self.differing = TopRows(MISTAKES)
        self.rows = self.read = self.rejected = self._file_start = 0
        self._makes_sense = not (request.asked and request.label_column)
        self._possible: list[tuple[int, ...]] = []

    def __call__(self, window: Window, scores: Scores) -> None:
        """Take in a window of the single model."""
        self.add(window, [scores])

    def add(self, window: Window, scores: Sequence[Scores]) -> None:
        """Take in a window with the scores of every model.

        Raises ColumnError where the label column that was asked for makes no sense to the model.
        """
        numbers = self._row_numbers(window)
        truth = self._add_labels(window)
        for name, column in self.slices.items():
            column.add(window.table.column(name))
        outputs = [
            np.where(said.scored[:, None], said.outputs, np.float32(np.nan)) for said in scores
        ]
        keep = _Keeper(window, numbers, outputs, self.request.label_column)
        for at, (model, said) in enumerate(zip(self.models, scores, strict=True)):
            model.drift.add(said)
            model.scored += int(np.count_nonzero(said.scored))
            if truth is not None:
                model.outputs.append(outputs[at])
                model.lengths.add(pa.array(said.n_tokens))
                self._keep_mistakes(model, truth, outputs[at], keep)
        if len(self.models) > 1:
            self._keep_differing(outputs, keep)
        self.rows += window.rows

    def merge(self, later: Evaluator) -> None:
        """Append what another evaluator collected of the rows that follow these."""
        self.labels.merge(later.labels)
        self.values.merge(later.values)
        for name, column in self.slices.items():
            column.merge(later.slices[name])
        for mine, theirs in zip(self.models, later.models, strict=True):
            mine.drift.merge(theirs.drift)
            mine.scored += theirs.scored
            mine.outputs += theirs.outputs
            mine.lengths.merge(theirs.lengths)
            mine.mistakes.merge(theirs.mistakes, self.read)
        self.differing.merge(later.differing, self.read)
        self.rows += later.rows
        self.read += later.read
        self.rejected += later.rejected

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

    def _add_labels(self, window: Window) -> NDArray[Any] | None:
        """Codes of the label values or numbers, (rows,); None without a label column."""
        name = self.request.label_column
        if name is None:
            return None
        column = window.table.column(name)
        if self.problem.task.truth is Truth.NUMBER:
            values = self.values.add(column)
            sensible, blank = bool(np.isfinite(values).any()), column.null_count == len(column)
            self._check_sense(sensible, blank, column)
            return values
        codes = self.labels.add(column)
        for value in self.labels.values[len(self._possible) :]:
            self._possible.append(self.rules.possible(value))
        self._check_sense(any(self._possible), bool((codes < 0).all()), column)
        return codes

    def _check_sense(self, sensible: bool, blank: bool, column: pa.Array) -> None:
        if self._makes_sense or blank:
            return
        if not sensible:
            raise ColumnError(no_sense(self, [str(v) for v in column.unique().to_pylist()]))
        self._makes_sense = True

    def _keep_mistakes(
        self, model: Collected, truth: NDArray[Any], outputs: NDArray[np.float32], keep: _Keeper
    ) -> None:
        scored = np.isfinite(outputs[:, 0])
        if self.problem.task.truth is Truth.NUMBER:
            error = np.abs(outputs[:, 0] - truth)
            keep.offer(model.mistakes, "error", error, np.flatnonzero(np.isfinite(error)))
            return
        predicted = model.subject.problem.decide(outputs)
        lost = 1 - self.problem.task.probabilities(outputs)
        for code in np.unique(truth[(truth >= 0) & (truth < len(self._possible))]):
            for c in self._possible[code]:
                rows = np.flatnonzero((truth == code) & (predicted != c) & scored)
                keep.offer(model.mistakes, (self.labels.values[code], c), lost[:, c], rows)

    def _keep_differing(self, outputs: Sequence[NDArray[np.float32]], keep: _Keeper) -> None:
        size = spread(outputs)
        keep.offer(self.differing, "spread", size, np.flatnonzero(size > 0))

    def meaning(self) -> Meaning:
        """What the label values met so far mean."""
        return self.rules.meaning(self.labels.values)

    def truth(self) -> NDArray[Any]:
        """The target of every row so far: a float (NaN: none) or class codes int16 (-1: none)."""
        if self.problem.task.truth is Truth.NUMBER:
            return self.values.values()
        found = self.meaning().codes
        table = [found.get(value, -1) for value in self.labels.values]
        table += [-1] * (self.labels.limit + 2 - len(table))
        return look_up(np.array(table, dtype=np.int16), self.labels.codes())

    def label_source(self) -> LabelSource | None:
        """How many rows have a label that means something, and what the others say."""
        if self.request.label_column is None:
            return None
        if self.problem.task.truth is Truth.NUMBER:
            values = self.values.values()
            usable, blank = int(np.isfinite(values).sum()), self.values.blank
            rule, rest = "numbers", {}
        else:
            meaning, codes = self.meaning(), self.labels.codes()
            counts = occurrences(codes, self.labels.limit + 1)
            blank, rule = self.rows - int(counts.sum()), meaning.rule
            named = dict(zip(self.labels.values, self.labels.spellings, strict=True))
            usable = sum(
                int(counts[self.labels.values.index(v)]) for v in meaning.codes if v in named
            )
            rest = {
                named[v]: int(counts[i])
                for i, v in enumerate(self.labels.values)
                if v not in meaning.codes
            }
        shown = sorted(rest.items(), key=lambda item: -item[1])[:SHOWN_UNUSABLE]
        return LabelSource(
            column=self.request.label_column,
            rule=rule,
            usable=usable,
            blank=blank,
            unusable=self.rows - usable - blank,
            unusable_values=dict(shown),
        )


@dataclass(frozen=True)
class _Keeper:
    """Turns rows of a window into `KeptRow`s when they are worth it."""

    window: Window
    numbers: NDArray[np.int64]
    outputs: Sequence[NDArray[np.float32]]
    label: str | None

    def offer(
        self, top: TopRows, group: Any, keys: NDArray[np.floating[Any]], rows: NDArray[np.int64]
    ) -> None:
        """Offer the rows (indices into the window) with their `keys` (of the whole window)."""
        if len(rows):
            top.add(group, keys[rows], self.numbers[rows], lambda i: self._kept(int(rows[i])))

    def _kept(self, i: int) -> KeptRow:
        label = None if self.label is None else self.window.table.column(self.label)[i].as_py()
        return KeptRow(
            row=int(self.numbers[i]),
            text=_cut(self.window.texts[i].as_py() or "", TEXT_CHARACTERS),
            label=None if label is None else _cut(str(label), 80),
            outputs=tuple(tuple(float(v) for v in out[i]) for out in self.outputs),
        )


def no_sense(evaluator: Evaluator, values: Sequence[str]) -> str:
    """The message for a label column whose values mean nothing to the model."""
    column = evaluator.request.label_column
    shown = ", ".join(repr(_cut(value, 30)) for value in values[:4])
    if evaluator.problem.task.truth is Truth.NUMBER:
        return f"column {column!r} holds no numbers ({shown}): name another with --label-column"
    return (
        f"column {column!r}: {shown} mean none of the labels "
        f"{', '.join(evaluator.problem.labels)}: say what they mean with --label-map VALUE=LABEL "
        "(an empty LABEL leaves rows out)"
    )


def _cut(text: str, limit: int) -> str:
    return text if len(text) <= limit else text[: limit - 1] + "…"


def _described(subject: Subject) -> str:
    return subject.card.task.described(subject.problem)
