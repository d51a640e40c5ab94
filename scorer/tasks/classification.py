"""Tasks that give each row one label."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from scorer.errors import UsageError
from scorer.tasks.base import OutputOptions, Problem, Statistic, Task, Truth

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

    from scorer.tasks.base import Outputs


class Classification(Task):
    """One label for each row. Outputs are probabilities."""

    truth = Truth.CLASS
    output_range = (0.0, 1.0)
    slice_figures = ("accuracy", "macro_f1")

    def columns(self, problem: Problem, options: OutputOptions) -> list[pa.Field]:
        """The label and its probability; if asked for, those of further labels, and of every one.

        Raises UsageError for more labels than there are.
        """
        import pyarrow as pa

        top = options.top or 1
        if top > len(problem.labels):
            raise UsageError(f"--top {top}: the model has {len(problem.labels)} labels")
        fields = [pa.field("prediction", pa.string()), pa.field("probability", pa.float32())]
        for rank in range(2, top + 1):
            fields.append(pa.field(f"prediction_{rank}", pa.string()))
            fields.append(pa.field(f"probability_{rank}", pa.float32()))
        names = [f"probability_{label}" for label in problem.labels if options.probabilities]
        return [*fields, *(pa.field(name, pa.float32()) for name in names)]

    def values(
        self,
        problem: Problem,
        outputs: Outputs,
        scored: NDArray[np.bool_],
        options: OutputOptions,
    ) -> list[pa.Array]:
        """See `columns`."""
        import numpy as np
        import pyarrow as pa

        unscored = ~scored
        probabilities = self.probabilities(outputs)
        code = self.decide(problem, outputs).astype(np.intp)
        rows, labels = np.arange(len(code)), pa.array(problem.labels, pa.string())
        columns: list[pa.Array] = []
        for ranked in _ranked(probabilities, code, options.top or 1):
            columns.append(labels.take(pa.array(ranked, mask=unscored)))
            columns.append(pa.array(probabilities[rows, ranked], mask=unscored))
        every = probabilities.T if options.probabilities else ()
        return [*columns, *(pa.array(column, mask=unscored) for column in every)]

    def in_words(self, problem: Problem, row: Sequence[float]) -> str:
        """The label and its probability, as in `positive (0.98)`."""
        import numpy as np

        outputs = np.array([row], dtype=np.float32)
        code = int(self.decide(problem, outputs)[0])
        share = self.probabilities(np.array([row], dtype=np.float64))[0, code]
        return f"{problem.labels[code]} ({share:.2f})"

    def described(self, problem: Problem) -> str:
        """Its labels."""
        return ", ".join(problem.labels)

    def score_in_words(self, labels: Sequence[str]) -> str:
        return self.event_in_words(labels)[0]

    @abstractmethod
    def ranked_labels(self, labels: int) -> Sequence[int]:
        """The labels whose ranking is measured, each against the rest."""

    @abstractmethod
    def confidence(self, probabilities: Outputs, predicted: NDArray[Any]) -> Outputs:
        """(rows,): the probability that a reliability diagram bins, of (rows, labels)."""

    @abstractmethod
    def event(self, target: NDArray[Any], predicted: NDArray[Any]) -> NDArray[np.bool_]:
        """bool (rows,): whether that happened whose probability `confidence` gives."""

    @abstractmethod
    def score_groups(
        self, problem: Problem, target: NDArray[Any], predicted: NDArray[Any]
    ) -> dict[str, NDArray[np.bool_]]:
        """The rows (masks) whose confidences are shown beside each other, by name."""


def _ranked(probabilities: Outputs, predicted: NDArray[Any], top: int) -> list[NDArray[Any]]:
    """`top` arrays (rows,) of label codes: the predicted one, then the others by probability."""
    import numpy as np

    if top == 1:
        return [predicted]
    first = probabilities.astype(np.float64)
    first[np.arange(len(predicted)), predicted] = np.inf
    order = np.argsort(-first, axis=1, kind="stable")
    return [order[:, rank] for rank in range(top)]


class Binary(Classification):
    """Two labels; the one output is the probability of the last one."""

    name = "binary"
    labels_wanted = "2"
    activations = ("sigmoid",)
    takes_threshold = True
    statistics = (
        Statistic.CONFUSION,
        Statistic.BY_LABEL,
        Statistic.POSITIVE,
        Statistic.LOSSES,
        Statistic.RANKING,
        Statistic.CALIBRATION,
    )
    headlines = ("accuracy", "macro_f1", "roc_auc", "log_loss", "ece")
    card_figures = ("accuracy", "ece")

    def accepts(self, labels: int) -> bool:
        return labels == 2

    def width(self, labels: int) -> int:
        return 1

    def decide(self, problem: Problem, outputs: Outputs) -> NDArray[Any]:
        """The last label from the threshold on."""
        import numpy as np

        return np.asarray(outputs[:, 0] >= np.float32(problem.threshold), dtype=np.int16)

    def probabilities(self, outputs: Outputs) -> Outputs:
        import numpy as np

        return np.concatenate([1 - outputs, outputs], axis=1)

    def profile_score(self, outputs: Outputs) -> Outputs:
        """The probability of the last label."""
        return outputs[:, 0]

    def explained(self, outputs: Outputs) -> NDArray[np.intp]:
        """The last label: what speaks for it speaks against the other one."""
        import numpy as np

        return np.ones(len(outputs), np.intp)

    def margin(self, label: int, width: int, activation: str | None) -> NDArray[np.float64]:
        """The log-odds, where the activation is a sigmoid of one output or a softmax of two."""
        import numpy as np

        first = 0.0 if activation == "sigmoid" else -1.0
        return np.array([first, 1.0] if width == 2 else [1.0]) * (1 if label else -1)

    def ranked_labels(self, labels: int) -> Sequence[int]:
        """The last label: the other one's ranking is the same."""
        return (1,)

    def confidence(self, probabilities: Outputs, predicted: NDArray[Any]) -> Outputs:
        """The probability of the last label."""
        return probabilities[:, 1]

    def event(self, target: NDArray[Any], predicted: NDArray[Any]) -> NDArray[np.bool_]:
        """The row has the last label."""
        result: NDArray[np.bool_] = target == 1
        return result

    def event_in_words(self, labels: Sequence[str]) -> tuple[str, str]:
        return f"probability of {labels[-1]}", f"share that is {labels[-1]}"

    def score_groups(
        self, problem: Problem, target: NDArray[Any], predicted: NDArray[Any]
    ) -> dict[str, NDArray[np.bool_]]:
        """By true label."""
        return {label: target == code for code, label in enumerate(problem.labels)}


class Multiclass(Classification):
    """Three or more labels; the outputs are their probabilities, which sum to 1."""

    name = "multiclass"
    labels_wanted = "3 or more"
    activations = ("softmax",)
    statistics = (
        Statistic.CONFUSION,
        Statistic.BY_LABEL,
        Statistic.LOSSES,
        Statistic.RANKING,
        Statistic.CALIBRATION,
    )
    headlines = ("accuracy", "macro_f1", "balanced_accuracy", "log_loss", "ece")
    card_figures = ("accuracy", "macro_f1")

    def accepts(self, labels: int) -> bool:
        return labels > 2

    def width(self, labels: int) -> int:
        return labels

    def decide(self, problem: Problem, outputs: Outputs) -> NDArray[Any]:
        """The label of the highest probability; of equal ones the first."""
        import numpy as np

        return np.asarray(np.argmax(outputs, axis=1), dtype=np.int16)

    def probabilities(self, outputs: Outputs) -> Outputs:
        return outputs

    def profile_score(self, outputs: Outputs) -> Outputs:
        """The probability of the predicted label."""
        highest: Outputs = outputs.max(axis=1)
        return highest

    def explained(self, outputs: Outputs) -> NDArray[np.intp]:
        """The label of the highest probability."""
        import numpy as np

        return np.asarray(np.argmax(outputs, axis=1))

    def margin(self, label: int, width: int, activation: str | None) -> NDArray[np.float64]:
        """The label's output less the mean of all: softmax heeds nothing but such differences."""
        import numpy as np

        return np.asarray(np.eye(width)[label] - 1 / width)

    def ranked_labels(self, labels: int) -> Sequence[int]:
        """All of them."""
        return range(labels)

    def confidence(self, probabilities: Outputs, predicted: NDArray[Any]) -> Outputs:
        """The probability of the predicted label."""
        import numpy as np

        return np.take_along_axis(probabilities, predicted[:, None].astype(np.intp), 1)[:, 0]

    def event(self, target: NDArray[Any], predicted: NDArray[Any]) -> NDArray[np.bool_]:
        """The prediction is right."""
        result: NDArray[np.bool_] = target == predicted
        return result

    def event_in_words(self, labels: Sequence[str]) -> tuple[str, str]:
        return "probability of the predicted label", "share that is right"

    def score_groups(
        self, problem: Problem, target: NDArray[Any], predicted: NDArray[Any]
    ) -> dict[str, NDArray[np.bool_]]:
        """By whether the prediction is right."""
        right = target == predicted
        return {"right": right, "wrong": ~right}
