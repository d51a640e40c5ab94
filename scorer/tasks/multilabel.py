"""Tasks that give each row any number of labels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from scorer.tasks.base import OutputOptions, Problem, Statistic, Task, Truth

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

    from scorer.tasks.base import Outputs


class Multilabel(Task):
    """Two or more labels that do not exclude each other; each output is one label's probability.

    A row is given the labels at or above the threshold, in the labels' order; it may have none.
    """

    name = "multilabel"
    labels_wanted = "2 or more"
    truth = Truth.SET
    activations = ("sigmoid",)
    output_range = (0.0, 1.0)
    takes_threshold = True
    exclusive = False
    statistics = (
        Statistic.BY_LABEL,
        Statistic.POOLED,
        Statistic.SETS,
        Statistic.LOSSES,
        Statistic.RANKING,
        Statistic.POOLED_RANKING,
        Statistic.CALIBRATION,
    )
    headlines = ("micro_f1", "macro_f1", "subset_accuracy", "roc_auc", "log_loss")
    slice_figures = ("micro_f1", "macro_f1")
    card_figures = ("micro_f1", "macro_f1")

    def accepts(self, labels: int) -> bool:
        return labels >= 2

    def width(self, labels: int) -> int:
        return labels

    def decide(self, problem: Problem, outputs: Outputs) -> NDArray[Any]:
        """int8 (rows, labels): 1 for a label from the threshold on."""
        import numpy as np

        return np.asarray(outputs >= np.float32(problem.threshold), dtype=np.int8)

    def columns(self, problem: Problem, options: OutputOptions) -> list[pa.Field]:
        """The row's labels, and the probability of every label, whether asked for or not."""
        import pyarrow as pa

        return [
            pa.field("prediction", pa.list_(pa.string())),
            *(pa.field(f"probability_{label}", pa.float32()) for label in problem.labels),
        ]

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
        given = self.decide(problem, outputs) * scored[:, None]
        codes = np.nonzero(given)[1]
        ends = np.concatenate([[0], np.cumsum(given.sum(axis=1))]).astype(np.int32)
        labels = pa.array(problem.labels, pa.string()).take(pa.array(codes))
        lists = pa.ListArray.from_arrays(pa.array(ends), labels, mask=pa.array(unscored))
        return [lists, *(pa.array(column, mask=unscored) for column in outputs.T)]

    def probabilities(self, outputs: Outputs) -> Outputs:
        return outputs

    def profile_score(self, outputs: Outputs) -> Outputs:
        """The highest of the labels' probabilities."""
        highest: Outputs = outputs.max(axis=1)
        return highest

    def explained(self, outputs: Outputs) -> NDArray[np.intp]:
        """The label of the highest probability."""
        import numpy as np

        return np.asarray(np.argmax(outputs, axis=1))

    def margin(self, label: int, width: int, activation: str | None) -> NDArray[np.float64]:
        """The label's own output."""
        import numpy as np

        return np.asarray(np.eye(width)[label])

    def score_in_words(self, labels: Sequence[str]) -> str:
        return "highest probability"

    def in_words(self, problem: Problem, row: Sequence[float]) -> str:
        """The labels and their probabilities, as in `toxic (0.98), threat (0.61)`."""
        import numpy as np

        outputs = np.array([row], dtype=np.float32)
        codes = [c for c, given in enumerate(self.decide(problem, outputs)[0]) if given]
        if not codes:
            highest = int(np.argmax(row))
            return f"no label (highest: {problem.labels[highest]} {row[highest]:.2f})"
        return ", ".join(f"{problem.labels[code]} ({row[code]:.2f})" for code in codes)

    def described(self, problem: Problem) -> str:
        """Its labels."""
        return f"any of {', '.join(problem.labels)}"

    def event_in_words(self, labels: Sequence[str]) -> tuple[str, str]:
        return "probability of a label", "share of the rows that have it"
