"""The labels that several classifiers have in common: what they can be compared by.

A model of negative and positive and one of negative, neutral and positive can both be right about
rows that are negative or positive. On those rows "neutral" is a mistake like any other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scorer.card import Label, ScorerCard
from scorer.errors import UsageError
from scorer.evaluation.labels.meaning import SYNONYMS, as_number, normal
from scorer.evaluation.request import Subject
from scorer.evaluation.statistics.sample import Sample
from scorer.tasks import MULTICLASS, Problem, Truth

ANOTHER = "another label"
#: figures that ask only whether the label is right
FIGURES = ("accuracy", "balanced_accuracy")


@dataclass(frozen=True)
class SharedLabels:
    """Labels that all models have, by the first one's names.

    names    empty where the models predict numbers
    codes    of each model, for each of its labels, which of `names` it is; len(names) of others
    same     all models have just these labels, in this order
    """

    names: tuple[str, ...]
    codes: tuple[NDArray[np.int16], ...]
    same: bool

    @property
    def problem(self) -> Problem:
        """What is compared where the models' labels differ."""
        return Problem(MULTICLASS, (*self.names, ANOTHER))

    def target(self, at: int, target: NDArray[Any]) -> NDArray[np.int16]:
        """int16 (rows,): a model's target by `names`; len(names) where it is another, or none."""
        by_code = np.append(self.codes[at], np.int16(len(self.names)))  # -1: no label, the last
        return np.asarray(by_code[target], dtype=np.int16)

    def sample(self, at: int, own: Sample, target: NDArray[np.int16]) -> Sample:
        """The rows of `own` as answers to the shared problem: 1 for the label that was said."""
        said = self.codes[at][own.predicted]
        answers = (said[:, None] == np.arange(len(self.names) + 1)).astype(np.float32)
        return Sample(self.problem, target, answers)

    def probabilities(self, at: int, problem: Problem, outputs: NDArray[Any]) -> NDArray[Any]:
        """(rows, names): what a model's outputs give to the shared labels."""
        whole = problem.task.probabilities(outputs)
        columns = [int(np.flatnonzero(self.codes[at] == i)[0]) for i in range(len(self.names))]
        shared: NDArray[Any] = whole[:, columns]
        return shared


def shared_labels(subjects: Sequence[Subject]) -> SharedLabels:
    """Raises UsageError where the models predict different things."""
    first, cards = subjects[0], [subject.card for subject in subjects]
    for other in subjects[1:]:
        if not _comparable(first, other):
            raise UsageError(
                f"{first.ref} and {other.ref} cannot be compared: they predict different things "
                f"({_described(first)}; {_described(other)})"
            )
    names = tuple(x.name for x in cards[0].labels if all(_place(x, c) is not None for c in cards))
    shared = [label for label in cards[0].labels if label.name in names]
    if len(names) < 2 and cards[0].task.truth is Truth.CLASS:
        refs = ", ".join(subject.ref for subject in subjects)
        raise UsageError(f"{refs} cannot be compared: they have fewer than two labels in common")
    codes = []
    for card in cards:
        own = np.full(len(card.labels), len(names), dtype=np.int16)
        for i, label in enumerate(shared):
            own[_place(label, card)] = i
        codes.append(own)
    same = all(np.array_equal(own, np.arange(len(names))) for own in codes)
    return SharedLabels(names, tuple(codes), same)


def own_map(label_map: Mapping[str, str], card: ScorerCard) -> dict[str, str]:
    """A map of values to labels of several models, for one that may not have all of them.

    The rows of a label that it lacks are left out.
    """
    found = {}
    for value, name in label_map.items():
        place = _place(Label(name=name), card) if name else None
        found[value] = "" if place is None else card.labels[place].name
    return found


def _comparable(a: Subject, b: Subject) -> bool:
    if (a.card.task, a.problem.labels) == (b.card.task, b.problem.labels):
        return True
    if not a.card.task.truth is b.card.task.truth is Truth.CLASS:
        return False
    return sum(_place(label, b.card) is not None for label in a.card.labels) >= 2


def _place(label: Label, card: ScorerCard) -> int | None:
    """Which label of the card means the same."""
    wanted = _meanings(label)
    return next((i for i, own in enumerate(card.labels) if wanted & _meanings(own)), None)


def _meanings(label: Label) -> set[str]:
    """The label's spellings, those of a common word by that word, without codes."""
    found = {normal(spelling) or "" for spelling in (label.name, *label.aliases)}
    words = {word for word, spellings in SYNONYMS.items() if spellings & found}
    coded = {key for key in found if as_number(key) is not None or key in ("true", "false")}
    return words or (found - coded - {""}) or found


def _described(subject: Subject) -> str:
    return subject.card.task.described(subject.problem)
