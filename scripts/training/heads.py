"""How each task is learnt: its targets, its loss, its activation, and what says how good it is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar, cast

import numpy as np

from scorer.tasks import BINARY, MULTICLASS, REGRESSION, Task
from scripts.training.types import AnyArray, Floats, Ints


class Head(ABC):
    """The end of a network. Logits and targets are float32 (rows, outputs).

    standardised    targets are learnt in standard deviations from their mean
    score_name      what `score` is, of a learning curve or a baseline
    """

    task: ClassVar[Task]
    standardised: ClassVar[bool] = False
    score_name: ClassVar[str] = "accuracy"

    @abstractmethod
    def activated(self, logits: Floats) -> Floats:
        """The network's outputs."""

    @abstractmethod
    def loss(self, logits: Floats, targets: Floats) -> tuple[float, Floats]:
        """The loss summed over the rows, and its gradient (rows, outputs)."""

    def smooth_loss(self, logits: Floats, targets: Floats) -> tuple[float, Floats]:
        """A loss for an optimiser that needs second derivatives."""
        return self.loss(logits, targets)

    def label_names(self, labels: AnyArray) -> tuple[str, ...]:
        """Classes in output order, which is the alphabet's: "negative" before "positive"."""
        return tuple(sorted({str(label) for label in labels}))

    @abstractmethod
    def targets(self, labels: AnyArray, names: tuple[str, ...]) -> Floats:
        """(rows, outputs): probabilities of the classes, or the values."""

    def truth(self, labels: AnyArray, names: tuple[str, ...]) -> AnyArray:
        """(rows,): what `scorer.evaluation.sample.Sample` takes as the target."""
        return class_codes(labels, names).astype(np.int16)

    @abstractmethod
    def score(self, logits: Floats, targets: Floats, scale: float) -> float:
        """Accuracy, or minus the mean absolute error, of targets learnt in units of `scale`."""


class BinaryHead(Head):
    """One sigmoid, by binary cross-entropy."""

    task = BINARY

    def activated(self, logits: Floats) -> Floats:
        half = np.float32(0.5)
        return cast(Floats, half * np.tanh(half * logits) + half)

    def loss(self, logits: Floats, targets: Floats) -> tuple[float, Floats]:
        loss = np.logaddexp(0, logits) - targets * logits
        return float(loss.sum()), self.activated(logits) - targets

    def targets(self, labels: AnyArray, names: tuple[str, ...]) -> Floats:
        return class_codes(labels, names).astype(np.float32)[:, None]

    def score(self, logits: Floats, targets: Floats, scale: float) -> float:
        return float(((self.activated(logits) >= 0.5) == (targets >= 0.5)).mean())


class MulticlassHead(Head):
    """A softmax, by categorical cross-entropy."""

    task = MULTICLASS

    def activated(self, logits: Floats) -> Floats:
        powers = np.exp(logits - logits.max(axis=1, keepdims=True))
        return cast(Floats, powers / powers.sum(axis=1, keepdims=True))

    def loss(self, logits: Floats, targets: Floats) -> tuple[float, Floats]:
        shifted = logits - logits.max(axis=1, keepdims=True)
        log_p = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
        return float(-(targets * log_p).sum()), np.exp(log_p) - targets

    def targets(self, labels: AnyArray, names: tuple[str, ...]) -> Floats:
        return np.eye(len(names), dtype=np.float32)[class_codes(labels, names)]

    def score(self, logits: Floats, targets: Floats, scale: float) -> float:
        return float((self.activated(logits).argmax(axis=1) == targets.argmax(axis=1)).mean())


class RegressionHead(Head):
    """The value as it is, by the absolute error."""

    task = REGRESSION
    standardised = True
    score_name = "mean absolute error"

    def activated(self, logits: Floats) -> Floats:
        return logits

    def loss(self, logits: Floats, targets: Floats) -> tuple[float, Floats]:
        error = logits - targets
        return float(np.abs(error).sum()), np.sign(error)

    def smooth_loss(self, logits: Floats, targets: Floats) -> tuple[float, Floats]:
        """Half of the squared error."""
        error = logits - targets
        return 0.5 * float(np.vdot(error, error)), error

    def label_names(self, labels: AnyArray) -> tuple[str, ...]:
        return ()

    def targets(self, labels: AnyArray, names: tuple[str, ...]) -> Floats:
        return labels.astype(np.float32)[:, None]

    def truth(self, labels: AnyArray, names: tuple[str, ...]) -> AnyArray:
        return labels.astype(np.float64)

    def score(self, logits: Floats, targets: Floats, scale: float) -> float:
        return -self.loss(logits, targets)[0] / len(logits) * scale


HEADS: tuple[Head, ...] = (BinaryHead(), MulticlassHead(), RegressionHead())


def head_of(task: str) -> Head:
    """The head of the task of that name. Raises KeyError."""
    return {head.task.name: head for head in HEADS}[task]


def class_codes(labels: AnyArray, names: tuple[str, ...]) -> Ints:
    """int64 (rows,): where each label stands among the names."""
    return np.searchsorted(np.array(names), labels.astype(str)).astype(np.int64)
