"""The arrays that every figure is computed from: one entry per labelled and scored row.

Millions of rows fit because a sample holds no more than truth and output. What follows from them
(probabilities, errors) is derived block by block: `for part in sample.blocks()`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scorer.evaluation.statistics.blocks import in_blocks
from scorer.tasks import BINARY, Classification, Problem

Floats = NDArray[np.floating[Any]]
Codes = NDArray[np.signedinteger[Any]]


@dataclass(frozen=True)
class Sample:
    """Truth and output of n rows.

    target  int16 (n,) class codes, float32 or float64 (n,) values, or int8 (n, k): 1 for each label
            that a row has
    output  float32 (n, 1) probability of the last label or predicted value; (n, k) probabilities
    """

    problem: Problem
    target: NDArray[Any]
    output: Floats

    def __len__(self) -> int:
        return len(self.target)

    @cached_property
    def predicted(self) -> NDArray[Any]:
        """Class codes int16 (n,), predicted values (n,), or int8 (n, k): 1 for a label given."""
        return self.problem.decide(self.output)

    @cached_property
    def probabilities(self) -> NDArray[np.float64]:
        """float64 (n, k): of every label; rows sum to 1 where labels exclude each other.

        A float32 softmax sums to 1 within 1e-6; the figures' definitions ask for more.
        """
        wide = self.problem.task.probabilities(self.output.astype(np.float64))
        return np.asarray(wide / wide.sum(axis=1, keepdims=True) if self._exclusive else wide)

    @cached_property
    def questions(self) -> tuple[Sample, ...]:
        """The samples of exclusive labels that this one is made of.

        Itself; of labels that do not exclude each other one for each label, of the same rows: has
        a row that label or not?
        """
        if self._exclusive:
            return (self,)
        return tuple(
            Sample(
                Problem(BINARY, (f"not {label}", label), self.problem.threshold),
                self.target[:, c],
                self.output[:, c : c + 1],
            )
            for c, label in enumerate(self.problem.labels)
        )

    @property
    def _exclusive(self) -> bool:
        return self.problem.task.exclusive

    @cached_property
    def confidence(self) -> NDArray[np.float64]:
        """float64 (n,): what a reliability diagram bins (classification only)."""
        return np.asarray(self._classification.confidence(self.probabilities, self.predicted))

    @cached_property
    def event(self) -> NDArray[np.bool_]:
        """bool (n,): did the thing happen whose probability `confidence` gives."""
        return self._classification.event(self.target, self.predicted)

    @property
    def ranked_classes(self) -> Sequence[int]:
        """The classes whose ranking is measured, each against the rest."""
        return self._classification.ranked_labels(self.problem.n_classes)

    @property
    def score_groups(self) -> dict[str, NDArray[np.bool_]]:
        """The rows (masks) whose confidences a report shows beside each other, by name."""
        return self._classification.score_groups(self.problem, self.target, self.predicted)

    @property
    def _classification(self) -> Classification:
        task = self.problem.task
        if not isinstance(task, Classification):
            raise TypeError(f"a {task} model has no classes")
        return task

    @cached_property
    def error(self) -> NDArray[np.float64]:
        """float64 (n,): prediction - truth (regression only)."""
        return np.asarray(self.output[:, 0].astype(np.float64) - self.target)

    def take(self, rows: NDArray[Any]) -> Sample:
        """The sample of those rows only (indices or mask)."""
        return Sample(self.problem, self.target[rows], self.output[rows])

    def blocks(self) -> Iterator[Sample]:
        """Samples of consecutive rows, as views, small enough to derive anything from."""
        for target, output in zip(in_blocks(self.target), in_blocks(self.output), strict=True):
            yield Sample(self.problem, target, output)

    def column(self, derived: Callable[[Sample], NDArray[Any]]) -> NDArray[np.float64]:
        """float64 (n,): what `derived` gives of every block."""
        column = np.empty(len(self), dtype=np.float64)
        for part, into in zip(self.blocks(), in_blocks(column), strict=True):
            into[:] = derived(part)
        return column

    def mean(self, metric: Callable[[Sample], float]) -> float:
        """The mean over all rows of what `metric` gives the mean of, for every block."""
        return float(sum(metric(part) * len(part) for part in self.blocks()) / len(self))
