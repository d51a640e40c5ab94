"""What every task says of itself, and the settings that it is asked with."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, ClassVar

from scorer.checks import check_at_least, check_share

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

    Outputs = NDArray[np.floating[Any]]


#: joins the labels of a row where a text must hold them, as in CSV
LABEL_SEPARATOR = "|"
#: how far outputs may lie beyond their range, which is rounding
OUTPUT_ROOM = 1e-5


class Truth(StrEnum):
    """What a row's label is: one of the labels, a number, or any of the labels together."""

    CLASS = "class"
    NUMBER = "number"
    SET = "set"


class Statistic(StrEnum):
    """What figures are computed from; `scorer.evaluation.statistics.measure` says how."""

    CONFUSION = "confusion"
    BY_LABEL = "by_label"
    POOLED = "pooled"
    SETS = "sets"
    LOSSES = "losses"
    RANKING = "ranking"
    POOLED_RANKING = "pooled_ranking"
    CALIBRATION = "calibration"
    ERRORS = "errors"
    MIDDLE_ERRORS = "middle_errors"
    RANKS = "ranks"
    POSITIVE = "positive"


@dataclass(frozen=True)
class OutputOptions:
    """Which columns are appended.

    probabilities  the probability of every label
    diagnostics    how many tokens a text has, the share that is unknown, whether it was cut
    threshold      replaces the card's, where a task takes one
    prefix         stands before the columns' names
    top            so many of the most probable labels, each with its probability; None: the first
    explain        how many of the words that moved the score most to list; None: no such column
    """

    probabilities: bool = False
    diagnostics: bool = False
    threshold: float | None = None
    prefix: str = ""
    explain: int | None = None
    top: int | None = None

    def __post_init__(self) -> None:
        check_at_least("explain", self.explain, 1)
        check_at_least("top", self.top, 1)
        check_share("threshold", self.threshold)


@dataclass(frozen=True)
class Problem:
    """What one model predicts: its task, its labels in output order, its decision threshold."""

    task: Task
    labels: tuple[str, ...] = ()
    threshold: float = 0.5

    @property
    def n_classes(self) -> int:
        return len(self.labels)

    def decide(self, outputs: Outputs) -> NDArray[Any]:
        """Outputs (rows, k) -> what is predicted of each row; see `Task.decide`."""
        return self.task.decide(self, outputs)

    def columns(self, options: OutputOptions) -> list[pa.Field]:
        """The appended columns of the prediction, without the prefix and the diagnostics."""
        return self.task.columns(self, options)

    def values(
        self, outputs: Outputs, scored: NDArray[np.bool_], options: OutputOptions
    ) -> list[pa.Array]:
        """The values of `columns`, each (rows,), null where `scored` (rows,) is False."""
        return self.task.values(self, outputs, scored, options)


class Task(ABC):
    """A kind of prediction.

    name             as cards, options and reports write it
    labels_wanted    how many labels a card must list, in words
    truth            what a label column must hold
    activations      the last activations that give such outputs
    output_range     smallest and largest output that makes sense; None where any number does
    takes_threshold  `--threshold` and the card's threshold decide
    exclusive        a row has one label at most, so that the labels' probabilities sum to 1
    statistics       what the figures of this task are computed from; figures say what they need
    headlines        the figures that a report shows first; slices and models compare the first
    slice_figures    the figures shown of every slice
    card_figures     the figures that a new card promises; the first is its headline
    """

    name: ClassVar[str]
    labels_wanted: ClassVar[str]
    truth: ClassVar[Truth]
    activations: ClassVar[tuple[str, ...]]
    output_range: ClassVar[tuple[float, float] | None]
    takes_threshold: ClassVar[bool] = False
    exclusive: ClassVar[bool] = True
    statistics: ClassVar[tuple[Statistic, ...]]
    headlines: ClassVar[tuple[str, ...]]
    slice_figures: ClassVar[tuple[str, ...]]
    card_figures: ClassVar[tuple[str, ...]]

    def __str__(self) -> str:
        return self.name

    def __reduce__(self) -> tuple[Any, ...]:
        from scorer.tasks import task_named

        return task_named, (self.name,)

    @abstractmethod
    def accepts(self, labels: int) -> bool:
        """Whether a model of this task may have so many labels."""

    @abstractmethod
    def width(self, labels: int) -> int:
        """The number of outputs of a model with so many labels."""

    @abstractmethod
    def decide(self, problem: Problem, outputs: Outputs) -> NDArray[Any]:
        """Outputs (rows, k) -> what is predicted of each row.

        Class codes int16 (rows,), predicted values (rows,), or int8 (rows, k): 1 for each label
        that a row is given.
        """

    @abstractmethod
    def columns(self, problem: Problem, options: OutputOptions) -> list[pa.Field]:
        """Names and types of the appended columns, in order."""

    @abstractmethod
    def values(
        self,
        problem: Problem,
        outputs: Outputs,
        scored: NDArray[np.bool_],
        options: OutputOptions,
    ) -> list[pa.Array]:
        """The appended columns' values (rows,), null where a row is not scored."""

    @abstractmethod
    def profile_score(self, outputs: Outputs) -> Outputs:
        """(rows,): the score whose histogram a card's training profile holds."""

    @abstractmethod
    def explained(self, outputs: Outputs) -> NDArray[np.intp]:
        """(rows,): the label that each row's words are weighed for or against; 0 without labels."""

    @abstractmethod
    def margin(self, label: int, width: int, activation: str | None) -> NDArray[np.float64]:
        """(width,): how much each of a network's outputs counts for a label.

        The network has `width` outputs, on which `activation` (sigmoid, softmax or None) works.
        """

    @abstractmethod
    def score_in_words(self, labels: Sequence[str]) -> str:
        """What `profile_score` gives: "probability of positive"."""

    @abstractmethod
    def in_words(self, problem: Problem, row: Sequence[float]) -> str:
        """The prediction for one row of outputs as people write it."""

    @abstractmethod
    def described(self, problem: Problem) -> str:
        """What such a model predicts, for messages."""

    def fault(self, outputs: Outputs) -> str | None:
        """Why numbers (rows, k) cannot be outputs of such a model, in words; None where they can.

        A little room is left on both sides: a float32 softmax may give 1.0000001.
        """
        import numpy as np

        if not np.isfinite(outputs).all():
            return "an output is not a finite number: the model's weights or texts overflow"
        if self.output_range is None or not len(outputs):
            return None
        low, high = self.output_range
        least, most = float(outputs.min()), float(outputs.max())
        if low - OUTPUT_ROOM <= least and most <= high + OUTPUT_ROOM:
            return None
        return (
            f"the outputs reach from {least:.4g} to {most:.4g}, and a {self.name} model's are "
            f"probabilities, {low:g} to {high:g}: if these are logits, give --output-activation "
            f"{self.activations[0]}; if they are numbers to predict, --task regression"
        )

    def probabilities(self, outputs: Outputs) -> Outputs:
        """(rows, labels): the probability of every label, of the outputs' type."""
        raise TypeError(f"a {self.name} model gives no probabilities")

    def event_in_words(self, labels: Sequence[str]) -> tuple[str, str]:
        """What a reliability diagram shows: `probability of ...`, and the share it is held to."""
        raise TypeError(f"a {self.name} model gives no probabilities")
