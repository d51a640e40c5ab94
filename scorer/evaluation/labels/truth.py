"""The label column, collected window by window: what every row's truth is, once all are there.

One kind of column for each `scorer.tasks.Truth`: `TRUTH_COLUMNS`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from scorer.evaluation.columns import CodedColumn, NumberColumn
from scorer.evaluation.labels.lists import UNKNOWN, LabelLists, read_flags
from scorer.evaluation.labels.meaning import LabelRules, Meaning, normal
from scorer.evaluation.statistics.blocks import look_up, occurrences
from scorer.evaluation.top import KeptRow
from scorer.tasks import LABEL_SEPARATOR, Problem, Truth

MAX_LABEL_VALUES = 1_000
Outputs = NDArray[np.float32]


@dataclass(frozen=True)
class LabelCount:
    """How many rows have a label that means something, how it was read, and what the others say.

    kind      what the column holds, in words
    reading   what its values mean by that
    means     of the values that mean a class, as they are written, the class
    """

    kind: str
    reading: str
    usable: int
    blank: int
    unusable_values: Mapping[str, int]
    means: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class MistakeGroup:
    """Rows of a window (indices) that are wrong if `group` turns out to be, and `size` (rows,)."""

    group: Hashable
    size: NDArray[np.floating[Any]]
    rows: NDArray[np.int64]


class TruthColumn(ABC):
    """The label column of one evaluation; a column for each label, where labels may be so given."""

    def __init__(self, rules: LabelRules) -> None:
        self.rules = rules

    @abstractmethod
    def add(self, columns: Sequence[pa.Array]) -> NDArray[Any]:
        """Append a window's labels; returns what `mistakes` needs of them, (rows, ...)."""

    def values(self, columns: Sequence[pa.Array]) -> list[str]:
        """The distinct values of a window's labels, for a message."""
        return [str(value) for value in columns[0].unique().to_pylist()]

    def said(self, columns: Sequence[pa.Array], added: NDArray[Any], i: int) -> str | None:
        """A row's label as the table has it, None where it has none; `added` is `add`'s."""
        label = columns[0][i].as_py()
        return None if label is None else str(label)

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

    def left_out(self, said: NDArray[Any], n: int) -> Mapping[str | None, NDArray[np.int64]]:
        """What was predicted of rows without a usable label; see `ClassColumn`."""
        return {}

    @abstractmethod
    def refusal(self, column: str, shown: str) -> str:
        """The message for a column, some of whose values are `shown`, that means nothing."""


class ClassColumn(TruthColumn):
    """Labels that name classes. Which, can only be told from all values (see `labels`)."""

    def __init__(self, rules: LabelRules) -> None:
        super().__init__(rules)
        self._column = CodedColumn(MAX_LABEL_VALUES)
        self._possible: list[tuple[int, ...]] = []

    def add(self, columns: Sequence[pa.Array]) -> NDArray[Any]:
        """Codes of the values, not of classes."""
        (column,) = columns
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
        means = {said: meaning.codes[v] for v, said, n in named if n and v in meaning.codes}
        return LabelCount(
            kind=meaning.kind,
            reading=meaning.reading or self._spelled(means),
            means=means,
            usable=sum(n for value, _, n in named if value in meaning.codes),
            blank=rows - int(counts.sum()),
            unusable_values={said: n for value, said, n in named if value not in meaning.codes},
        )

    def _spelled(self, means: Mapping[str, int]) -> str:
        """Each label with how the column writes it, where that is another way."""
        found = []
        for code, label in enumerate(self.rules.labels):
            said = [value for value, c in means.items() if c == code]
            other = [value for value in said if normal(value) != normal(label.name)]
            found += [f"{', '.join(said[:3])}={label.name}"] if other else [label.name] * bool(said)
        return ", ".join(found)

    def left_out(self, said: NDArray[Any], n: int) -> Mapping[str | None, NDArray[np.int64]]:
        """Of the values that mean no class (None: blank) their rows by what was predicted, (n,).

        `said` (rows,) are predicted codes, negative where a row was not scored.
        """
        unusable = self.target() < 0
        codes, said = self._column.codes()[unusable], said[unusable]
        by_value = {code: occurrences(said[codes == code], n) for code in np.unique(codes).tolist()}
        spellings, last = dict(enumerate(self._column.spellings)), self._column.limit - 1
        return {spellings.get(code): found for code, found in by_value.items() if code <= last}

    def refusal(self, column: str, shown: str) -> str:
        names = ", ".join(label.name for label in self.rules.labels)
        meaning = self._meaning()
        if meaning.doubt:
            example = f"{self._column.spellings[0]}={self.rules.labels[0].name}"
            return (
                f"column {column!r} holds {meaning.doubt} ({shown}): say what each means, as in "
                f"--label-map {example} (labels: {names}; an empty LABEL leaves rows out)"
            )
        return (
            f"column {column!r} holds {shown} and none of the labels {names}: say what values mean "
            "with --label-map VALUE=LABEL (an empty LABEL leaves rows out)"
        )


class ValueColumn(TruthColumn):
    """Labels that are numbers."""

    def __init__(self, rules: LabelRules) -> None:
        super().__init__(rules)
        self._column = NumberColumn()

    def add(self, columns: Sequence[pa.Array]) -> NDArray[Any]:
        """The numbers, NaN where there is none."""
        (column,) = columns
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
        values = self._column.values()
        known = values[np.isfinite(values)]
        reading = f"{known.min():,.6g} to {known.max():,.6g}" if len(known) else ""
        return LabelCount("numbers", reading, len(known), self._column.blank, {})

    def refusal(self, column: str, shown: str) -> str:
        return f"column {column!r} holds no numbers ({shown}): name another with --label-column"


class SetColumn(TruthColumn):
    """Labels of which a row may have any number; see `label_lists`."""

    def __init__(self, rules: LabelRules) -> None:
        super().__init__(rules)
        self._lists = LabelLists(rules.spelled(), len(rules.labels))
        self._unusable = self._lists.unusable
        self._flagged = False
        self._chunks: list[NDArray[np.int8]] = []

    def add(self, columns: Sequence[pa.Array]) -> NDArray[Any]:
        """int8 (rows, k): 1 for a label that a row has, -1 or -2 where that is not known."""
        if len(columns) > 1:
            self._flagged = True
            target, unusable = read_flags(columns)
            self._unusable.update(unusable)
        else:
            target = self._lists.read(columns[0])
        self._chunks.append(target)
        return target

    def values(self, columns: Sequence[pa.Array]) -> list[str]:
        return list(self._unusable)

    def said(self, columns: Sequence[pa.Array], added: NDArray[Any], i: int) -> str | None:
        """The row's labels by their names."""
        if added[i, 0] < 0:
            return None
        names = (x.name for x, has in zip(self.rules.labels, added[i], strict=True) if has)
        return ", ".join(names) or "no label"

    def sensible(self, added: NDArray[Any]) -> bool | None:
        """Rows without labels alone do not tell."""
        if (added == 1).any():
            return True
        return False if (added == UNKNOWN).any() and not (added >= 0).any() else None

    def mistakes(
        self, problem: Problem, added: NDArray[Any], outputs: Outputs
    ) -> Iterator[MistakeGroup]:
        """One group: the probability that the worst of the wrong labels lost."""
        wrong = problem.decide(outputs) != added
        lost = np.where(wrong, np.abs(added - outputs), 0.0).max(axis=1)
        known = (added[:, 0] >= 0) & np.isfinite(outputs[:, 0])
        yield MistakeGroup("labels", lost, np.flatnonzero(known & wrong.any(axis=1)))

    def mistake_groups(self) -> list[Hashable]:
        return ["labels"]

    def shown(self, problem: Problem, group: Hashable, kept: KeptRow) -> str:
        return kept.label or ""

    def target(self) -> NDArray[Any]:
        """int8 (rows, k): of every row so far, as `add` gives it."""
        self._chunks = [
            np.concatenate([np.zeros((0, len(self.rules.labels)), np.int8), *self._chunks])
        ]
        return self._chunks[0]

    def usable(self, target: NDArray[Any]) -> NDArray[np.bool_]:
        return np.asarray(target[:, 0] >= 0)

    def count(self, rows: int) -> LabelCount:
        """A column in which no row has a label tells nothing: all of it is blank."""
        target = self.target()
        usable = int(np.count_nonzero(self.usable(target))) if (target == 1).any() else 0
        unknown = int(np.count_nonzero(target[:, 0] == UNKNOWN))
        return LabelCount(
            kind="a 0/1 column for each label" if self._flagged else "lists of labels",
            reading="" if self._flagged else "an empty list means no label",
            usable=usable,
            blank=rows - usable - unknown,
            unusable_values=dict(self._unusable),
        )

    def refusal(self, column: str, shown: str) -> str:
        names = ", ".join(label.name for label in self.rules.labels)
        if self._flagged:
            return f"columns {column}: {shown} are neither 0 nor 1: name others with --label-column"
        return (
            f"column {column!r} holds {shown} and none of the labels {names}: it must hold lists "
            f"of them, or texts in which {LABEL_SEPARATOR} joins them; say what other names mean "
            "with --label-map VALUE=LABEL, or name a 0/1 column for each label with --label-column"
        )


TRUTH_COLUMNS: dict[Truth, type[TruthColumn]] = {
    Truth.CLASS: ClassColumn,
    Truth.SET: SetColumn,
    Truth.NUMBER: ValueColumn,
}


def quoted(values: Sequence[str]) -> str:
    """The first few values, for a message."""
    return ", ".join(repr(value if len(value) <= 30 else f"{value[:29]}…") for value in values[:4])
