"""How each task is trained: its targets, its loss, its activation, and what says how good it is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar, cast

import keras
import numpy as np

from scorer.tasks import BINARY, MULTICLASS, REGRESSION, Task
from scripts.training.types import AnyArray, Floats, Ints


class Head(ABC):
    """The end of a network. Logits and targets are float32 (rows, outputs).

    standardised    targets are standard deviations from their mean
    score_name      what `score` is, of a learning curve or a baseline
    """

    task: ClassVar[Task]
    standardised: ClassVar[bool] = False
    score_name: ClassVar[str] = "accuracy"

    @abstractmethod
    def activated(self, logits: Floats) -> Floats:
        """The network's outputs."""

    @abstractmethod
    def keras_loss(self, label_smoothing: float) -> Any:
        """The loss of logits that `model.fit` minimizes; smoothing as in Szegedy et al. 2016."""

    @abstractmethod
    def keras_metric(self) -> Any:
        """What the learning curve shows beside the loss."""

    @abstractmethod
    def loss(self, logits: Floats, targets: Floats) -> tuple[Floats, Floats]:
        """The loss of each row (rows,), and its gradient (rows, outputs)."""

    def smooth_loss(self, logits: Floats, targets: Floats) -> tuple[Floats, Floats]:
        """A loss for an optimizer that needs second derivatives."""
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

    def keras_loss(self, label_smoothing: float) -> Any:
        return keras.losses.BinaryCrossentropy(True, label_smoothing)

    def keras_metric(self) -> Any:
        return keras.metrics.BinaryAccuracy(threshold=0.0)

    def loss(self, logits: Floats, targets: Floats) -> tuple[Floats, Floats]:
        loss = np.logaddexp(0, logits) - targets * logits
        return loss.sum(axis=1), self.activated(logits) - targets

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

    def keras_loss(self, label_smoothing: float) -> Any:
        return keras.losses.CategoricalCrossentropy(True, label_smoothing)

    def keras_metric(self) -> Any:
        return keras.metrics.CategoricalAccuracy()

    def loss(self, logits: Floats, targets: Floats) -> tuple[Floats, Floats]:
        shifted = logits - logits.max(axis=1, keepdims=True)
        log_p = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
        return -(targets * log_p).sum(axis=1), np.exp(log_p) - targets

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

    def keras_loss(self, label_smoothing: float) -> Any:
        return keras.losses.MeanAbsoluteError()

    def keras_metric(self) -> Any:
        return keras.metrics.MeanAbsoluteError()

    def loss(self, logits: Floats, targets: Floats) -> tuple[Floats, Floats]:
        error = logits - targets
        return np.abs(error).sum(axis=1), np.sign(error)

    def smooth_loss(self, logits: Floats, targets: Floats) -> tuple[Floats, Floats]:
        """Half of the squared error."""
        error = logits - targets
        return 0.5 * (error * error).sum(axis=1), error

    def label_names(self, labels: AnyArray) -> tuple[str, ...]:
        return ()

    def targets(self, labels: AnyArray, names: tuple[str, ...]) -> Floats:
        return labels.astype(np.float32)[:, None]

    def truth(self, labels: AnyArray, names: tuple[str, ...]) -> AnyArray:
        return labels.astype(np.float64)

    def score(self, logits: Floats, targets: Floats, scale: float) -> float:
        return -float(self.loss(logits, targets)[0].mean()) * scale


HEADS: tuple[Head, ...] = (BinaryHead(), MulticlassHead(), RegressionHead())


def head_of(task: str) -> Head:
    """The head of the task of that name. Raises KeyError."""
    return {head.task.name: head for head in HEADS}[task]


def judge(task: str, logits: Floats, targets: Floats, scale: float) -> tuple[float, float]:
    """Mean loss, and accuracy or minus the mean absolute error in the targets' own units."""
    head = head_of(task)
    return float(head.loss(logits, targets)[0].mean()), head.score(logits, targets, scale)


def class_codes(labels: AnyArray, names: tuple[str, ...]) -> Ints:
    """int64 (rows,): where each label stands among the names."""
    return np.searchsorted(np.array(names), labels.astype(str)).astype(np.int64)
