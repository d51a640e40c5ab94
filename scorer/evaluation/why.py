"""Why a model was wrong: the words behind its largest mistakes.

Subject.explain -> Explanation -> Why, which a report holds and shows
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

import pyarrow as pa
from pydantic import Field

from scorer.evaluation.part import Part
from scorer.explain import Explanation

#: the first mistakes of a report are explained, where their texts have no more words than this: the
#: rest would take seconds
MISTAKES, WORDS = 10, 500
#: of a text's words, those that are marked
MARKED = 16

#: one-row tables, as a model reads them -> their explanations
Explain = Callable[[pa.Table], Sequence[Explanation | None]]


class MarkedWord(Part):
    """A word and what it moved the score by.

    `start` is the place of its first character in the mistake's whole text, `end` the one after its
    last; both are null for a word of another column.
    """

    word: str
    weight: float
    start: int | None
    end: int | None


class Why(Part):
    """Why a model gave a text its score.

    A weight above zero speaks for `label`, or for a higher number. `score` = `base` (the text with
    every word unknown) + `total` (what all words add, one by one) + what they add together, which
    is nothing where the weights are `exact`.
    """

    label: str | None
    scale: Literal["logit", "output"]
    score: float
    base: float
    total: float
    exact: bool
    words: tuple[MarkedWord, ...] = Field(description="the strongest, in the text's order")


def why(explain: Explain | None, rows: Sequence[pa.Table | None], texts: str) -> list[Why | None]:
    """What explains each of some rows, the largest mistake first; None where nothing does.

    texts: the name of the rows' column of whole texts.
    """
    found: list[Why | None] = [None] * len(rows)
    if explain is None:
        return found
    for number, row in enumerate(rows[:MISTAKES]):
        if row is None:
            continue
        text = row.column(texts)[0].as_py() or ""
        if len(text.split()) > WORDS:
            continue
        (explanation,) = explain(row)
        found[number] = None if explanation is None else _why(explanation, text)
    return found


def _why(explanation: Explanation, text: str) -> Why:
    before = explanation.text.find(text)
    strongest = sorted(explanation.words, key=lambda word: -abs(word.weight))[:MARKED]
    words = []
    for word in sorted(strongest, key=lambda word: word.start):
        own = before <= word.start and word.end <= before + len(text)
        words.append(
            MarkedWord(
                word=word.text[:80],
                weight=round(word.weight, 4),
                start=word.start - before if own else None,
                end=word.end - before if own else None,
            )
        )
    return Why(
        label=explanation.label,
        scale=explanation.scale,
        score=round(explanation.score, 4),
        base=round(explanation.base, 4),
        total=round(explanation.total, 4),
        exact=explanation.exact,
        words=tuple(word for word in words if word.weight),
    )
