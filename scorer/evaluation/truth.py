"""The label column, collected window by window: what every row's truth is, once all are there.

One kind of column for each `scorer.tasks.Truth`: `TRUTH_COLUMNS`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from scorer.evaluation.blocks import look_up, occurrences
from scorer.evaluation.columns import CodedColumn, NumberColumn
from scorer.evaluation.labels import LabelRules, Meaning
from scorer.evaluation.top import KeptRow
from scorer.tasks import Problem, Truth

MAX_LABEL_VALUES = 1_000
Outputs = NDArray[np.float32]


@dataclass(frozen=True)
class LabelCount:
    """How many rows have a label that means something, by which rule, and what the others say."""

    rule: str
    usable: int
    blank: int
    unusable_values: Mapping[str, int]


@dataclass(frozen=True)
class MistakeGroup:
    """Rows of a window (indices) that are wrong if `group` turns out to be, and `size` (rows,)."""

    group: Hashable
    size: NDArray[np.floating[Any]]
    rows: NDArray[np.int64]


class TruthColumn(ABC):
    """The label column of one evaluation."""

    def __init__(self, rules: LabelRules) -> None:
        self.rules = rules

    @abstractmethod
    def add(self, column: pa.Array) -> NDArray[Any]:
        """Append a window's labels; returns what `mistakes` needs of them, (rows,)."""

    @abstractmethod
    def sensible(self, added: NDArray[Any]) -> bool | None:
        """Whether any label so far means something; None where all that was added is blank."""

    @abstractmethod
    def mistakes(
        self, problem: Problem, added: NDArray[Any], outputs: Outputs
    ) -> Iterator[MistakeGroup]:
        """What may be wrong in a window of which `add` gave `added`; outputs NaN where unscored."""

    @abstractmethod
    def mistake_groups(self) -> list[Hashable]:
        """The groups that have turned out to be wrong."""

    @abstractmethod
    def shown(self, problem: Problem, group: Hashable, kept: KeptRow) -> str:
        """A mistake's truth in words."""

    @abstractmethod
    def target(self) -> NDArray[Any]:
        """The target of every row so far, see `scorer.evaluation.sample.Sample`."""

    @abstractmethod
    def usable(self, target: NDArray[Any]) -> NDArray[np.bool_]:
        """bool (rows,): the rows whose target is known."""

    @abstractmethod
    def count(self, rows: int) -> LabelCount:
        """What the labels of the `rows` so far hold."""

    @abstractmethod
    def refusal(self, column: str, shown: str) -> str:
        """The message for a column, some of whose values are `shown`, that means nothing."""


class ClassColumn(TruthColumn):
    """Labels that name classes. Which, can only be told from all values (see `labels`)."""

    def __init__(self, rules: LabelRules) -> None:
        super().__init__(rules)
        self._column = CodedColumn(MAX_LABEL_VALUES)
        self._possible: list[tuple[int, ...]] = []

    def add(self, column: pa.Array) -> NDArray[Any]:
        """Codes of the values, not of classes."""
        codes = self._column.add(column)
        for value in self._column.values[len(self._possible) :]:
            self._possible.append(self.rules.possible(value))
        return codes

    def sensible(self, added: NDArray[Any]) -> bool | None:
        return None if (added < 0).all() else any(self._possible)

    def mistakes(
        self, problem: Problem, added: NDArray[Any], outputs: Outputs
    ) -> Iterator[MistakeGroup]:
        """A group is a value and the class that it may turn out to mean."""
        scored = np.isfinite(outputs[:, 0])
        predicted = problem.decide(outputs)
        lost = 1 - problem.task.probabilities(outputs)
        for code in np.unique(added[(added >= 0) & (added < len(self._possible))]):
            for c in self._possible[code]:
                rows = np.flatnonzero((added == code) & (predicted != c) & scored)
                yield MistakeGroup((self._column.values[code], c), lost[:, c], rows)

    def mistake_groups(self) -> list[Hashable]:
        return list(self._meaning().codes.items())

    def shown(self, problem: Problem, group: Hashable, kept: KeptRow) -> str:
        assert isinstance(group, tuple)
        return problem.labels[group[1]]

    def _meaning(self) -> Meaning:
        """What the label values so far mean."""
        return self.rules.meaning(self._column.values)

    def target(self) -> NDArray[Any]:
        """int16 (rows,): class codes, -1 where the label means none."""
        codes = self._meaning().codes
        table = [codes.get(value, -1) for value in self._column.values]
        table += [-1] * (self._column.limit + 2 - len(table))
        return look_up(np.array(table, dtype=np.int16), self._column.codes())

    def usable(self, target: NDArray[Any]) -> NDArray[np.bool_]:
        return np.asarray(target >= 0)

    def count(self, rows: int) -> LabelCount:
        meaning = self._meaning()
        counts = occurrences(self._column.codes(), self._column.limit + 1)
        named = [*zip(self._column.values, self._column.spellings, counts.tolist(), strict=False)]
        return LabelCount(
            rule=meaning.rule,
            usable=sum(n for value, _, n in named if value in meaning.codes),
            blank=rows - int(counts.sum()),
            unusable_values={said: n for value, said, n in named if value not in meaning.codes},
        )

    def refusal(self, column: str, shown: str) -> str:
        names = ", ".join(label.name for label in self.rules.labels)
        return (
            f"column {column!r}: {shown} mean none of the labels {names}: say what they mean with "
            "--label-map VALUE=LABEL (an empty LABEL leaves rows out)"
        )


class ValueColumn(TruthColumn):
    """Labels that are numbers."""

    def __init__(self, rules: LabelRules) -> None:
        super().__init__(rules)
        self._column = NumberColumn()

    def add(self, column: pa.Array) -> NDArray[Any]:
        """The numbers, NaN where there is none."""
        self._all_blank = column.null_count == len(column)
        return self._column.add(column)

    def sensible(self, added: NDArray[Any]) -> bool | None:
        return None if self._all_blank else bool(np.isfinite(added).any())

    def mistakes(
        self, problem: Problem, added: NDArray[Any], outputs: Outputs
    ) -> Iterator[MistakeGroup]:
        """All errors are one group."""
        error = np.abs(outputs[:, 0] - added)
        yield MistakeGroup("error", error, np.flatnonzero(np.isfinite(error)))

    def mistake_groups(self) -> list[Hashable]:
        return ["error"]

    def shown(self, problem: Problem, group: Hashable, kept: KeptRow) -> str:
        return kept.label or ""

    def target(self) -> NDArray[Any]:
        """float32 or float64 (rows,): NaN where there is none."""
        return self._column.values()

    def usable(self, target: NDArray[Any]) -> NDArray[np.bool_]:
        return np.asarray(np.isfinite(target))

    def count(self, rows: int) -> LabelCount:
        usable = int(np.isfinite(self._column.values()).sum())
        return LabelCount("numbers", usable, self._column.blank, {})

    def refusal(self, column: str, shown: str) -> str:
        return f"column {column!r} holds no numbers ({shown}): name another with --label-column"


TRUTH_COLUMNS: dict[Truth, type[TruthColumn]] = {
    Truth.CLASS: ClassColumn,
    Truth.NUMBER: ValueColumn,
}


def quoted(values: Sequence[str]) -> str:
    """The first few values, for a message."""
    return ", ".join(repr(value if len(value) <= 30 else f"{value[:29]}…") for value in values[:4])
