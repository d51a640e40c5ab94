"""What a model said of the scored rows, labelled or not: how many of each prediction.

Light: every `score` run counts its predictions.
"""

from __future__ import annotations

import numpy as np
from pydantic import Field

from scorer.evaluation.part import Part, Quartiles
from scorer.evaluation.spread import ExactSum, Numbers, Spread, shares
from scorer.scores import Scores
from scorer.tasks import Problem, Truth

NO_LABEL = "no label"


class PredictedLabel(Part):
    """How many of the scored rows were given a label."""

    label: str
    rows: int
    share: float


class Predictions(Part):
    """What was said of `rows` scored rows."""

    rows: int
    labels: tuple[PredictedLabel, ...] = Field(
        default=(),
        description="in the model's order; a multilabel model's may overlap, and end with the rows "
        "that were given none",
    )
    mean: float | None = Field(default=None, description="of a regression's predictions")
    score: Quartiles = Field(
        description="binary: probability of the last label; multiclass: of the predicted one; "
        "multilabel: the highest probability; regression: the prediction, to four digits"
    )


class PredictionCounter:
    """Counts the predictions for one model, window by window."""

    def __init__(self, problem: Problem) -> None:
        self._problem = problem
        self._named = problem.task.truth is not Truth.NUMBER
        self.rows = 0
        self._sum = ExactSum()
        self._given = np.zeros(problem.n_classes, dtype=np.int64)
        self._without = 0
        self.score: Spread = shares() if self._named else Numbers()

    def add(self, scores: Scores) -> None:
        """Count a window's scored rows."""
        outputs = scores.outputs[scores.scored]
        if not len(outputs):
            return
        self.rows += len(outputs)
        self.score.add(self._problem.task.profile_score(outputs))
        said = self._problem.decide(outputs)
        if self._problem.task.truth is Truth.CLASS:
            self._given += np.bincount(said, minlength=len(self._given))
        elif self._problem.task.truth is Truth.SET:
            self._given += said.sum(axis=0, dtype=np.int64)
            self._without += int(np.count_nonzero(~said.any(axis=1)))
        else:
            self._sum.add(said)

    def result(self) -> Predictions | None:
        """What was found; None before the first scored row."""
        score = self.score.quartiles()
        if score is None:
            return None
        named = [*zip(self._problem.labels, self._given.tolist(), strict=True)]
        if self._problem.task.truth is Truth.SET:
            named.append((NO_LABEL, self._without))
        return Predictions(
            rows=self.rows,
            labels=tuple(
                PredictedLabel(label=label, rows=n, share=round(n / self.rows, 6))
                for label, n in named
            ),
            mean=None if self._named else float(f"{self._sum.value() / self.rows:.6g}"),
            score=score,
        )
