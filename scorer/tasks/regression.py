"""Tasks that give each row a number."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from scorer.tasks.base import OutputOptions, Problem, Statistic, Task, Truth

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

    from scorer.tasks.base import Outputs


class Regression(Task):
    """A number for each row; the one output is that number."""

    name = "regression"
    labels_wanted = "0"
    truth = Truth.NUMBER
    activations = ("linear",)
    output_range = None
    statistics = (Statistic.ERRORS, Statistic.MIDDLE_ERRORS, Statistic.RANKS)
    headlines = ("mae", "rmse", "r2", "bias", "spearman")
    slice_figures = ("mae", "bias", "rmse")
    card_figures = ("mae", "rmse")

    def accepts(self, labels: int) -> bool:
        return labels == 0

    def width(self, labels: int) -> int:
        return 1

    def decide(self, problem: Problem, outputs: Outputs) -> NDArray[Any]:
        """The output as it is."""
        return outputs[:, 0]

    def columns(self, problem: Problem, options: OutputOptions) -> list[pa.Field]:
        """The predicted number."""
        import pyarrow as pa

        return [pa.field("prediction", pa.float32())]

    def values(
        self,
        problem: Problem,
        outputs: Outputs,
        scored: NDArray[np.bool_],
        options: OutputOptions,
    ) -> list[pa.Array]:
        """See `columns`."""
        import pyarrow as pa

        return [pa.array(outputs[:, 0], mask=~scored)]

    def profile_score(self, outputs: Outputs) -> Outputs:
        """The predicted number."""
        return outputs[:, 0]

    def explained(self, outputs: Outputs) -> NDArray[np.intp]:
        """There are no labels."""
        import numpy as np

        return np.zeros(len(outputs), np.intp)

    def margin(self, label: int, width: int, activation: str | None) -> NDArray[np.float64]:
        """The one output."""
        import numpy as np

        return np.ones(width)

    def score_in_words(self, labels: Sequence[str]) -> str:
        return "prediction"

    def in_words(self, problem: Problem, row: Sequence[float]) -> str:
        """The number with two digits after the point."""
        return f"{row[0]:,.2f}"

    def described(self, problem: Problem) -> str:
        return "a number"
