"""What an explanation says, for people and for programs."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from typing import Any, Literal

from scorer.explain.words import Text, plain
from scorer.printable import printable, printable_lines

#: how many words `repr` and a notebook list
LISTED = 8
#: red, green and blue behind words that speak for and against: not red beside green
COLOURS = {True: (38, 132, 255), False: (255, 128, 38)}


@dataclass(frozen=True)
class Word:
    """A word of a text, as it stands there, and what it moved the score by.

    start, end   its first character in the text, and the one after its last
    """

    text: str
    weight: float
    start: int
    end: int


@dataclass(frozen=True)
class Explanation:
    """Why a model gave a text its score: every word with what it moved the score by.

    A weight above zero speaks for `label`, or for a higher number; one below zero against it.

    model       name@version
    text        the text as the model read it
    prediction  what the model said, as in `positive (0.98)`
    label       the label that the weights speak for or against; None for a regression
    scale       of the score and the weights: "logit" before the network's last sigmoid or softmax,
                "output" where it has none
    score       what is explained. Binary: the log-odds of `label`; multiclass: its logit less the
                mean of all; multilabel: its logit; regression: the prediction
    base        what a text of nothing but unknown words gets
    exact       the weights are the terms of a sum, and add up to `score - base`; else some come of
                occlusion, and need not
    words       all words, in the text's order
    """

    model: str
    text: str
    prediction: str
    label: str | None
    scale: Literal["logit", "output"]
    score: float
    base: float
    exact: bool
    words: tuple[Word, ...]

    @property
    def total(self) -> float:
        """What all weights add up to."""
        return math.fsum(word.weight for word in self.words)

    @property
    def rest(self) -> float:
        """What of `score - base` no word by itself accounts for; 0 but for rounding where exact."""
        return self.score - self.base - self.total

    def strongest(self, count: int) -> list[tuple[str, float]]:
        """The words that moved the score most, and by how much; the most first.

        Equal words (but for capitals and the punctuation around them) count together.
        """
        together: dict[str, list[float]] = {}
        for word in self.words:
            together.setdefault(plain(word.text), []).append(word.weight)
        sums = [(word, math.fsum(weights)) for word, weights in together.items()]
        moved = [(word, weight) for word, weight in sums if weight]
        return sorted(moved, key=lambda each: (-abs(each[1]), each[0]))[:count]

    def in_short(self, count: int) -> str:
        """The strongest words on one line, as in `awful -1.23; warm +0.40`."""
        return "; ".join(f"{word} {weight:+.2f}" for word, weight in self.strongest(count))

    def pieces(self) -> list[tuple[str, float | None]]:
        """The whole text in order: words with their weights, what stands between them with None."""
        found: list[tuple[str, float | None]] = []
        at = 0
        for word in self.words:
            found += [(self.text[at : word.start], None), (word.text, word.weight)]
            at = word.end
        return [piece for piece in [*found, (self.text[at:], None)] if piece[0]]

    def strength(self, weight: float) -> float:
        """0 to 1: how strong a weight is beside the strongest."""
        most = max((abs(word.weight) for word in self.words), default=0.0)
        return abs(weight) / most if most else 0.0

    def balance(self) -> str:
        """How the weights and the score belong together, in a sentence."""
        rest = "" if self.exact else f", and as they stand together {self.rest:+.2f}"
        return (
            f"{self._what()} {self.score:+.2f} = {self.base:+.2f} without a known word, "
            f"{self.total:+.2f} from the words one by one{rest}"
        )

    def _what(self) -> str:
        kind = "prediction" if self.scale == "output" and self.label is None else self.scale
        return kind if self.label is None else f"{kind} of {self.label}"

    def as_dict(self) -> dict[str, Any]:
        """All of it as plain values, for JSON."""
        words = [
            {"word": w.text, "weight": w.weight, "start": w.start, "end": w.end} for w in self.words
        ]
        kept = ("model", "text", "prediction", "label", "scale", "score", "base", "exact")
        found: Mapping[str, Any] = {name: getattr(self, name) for name in kept}
        return {**found, "total": self.total, "words": words}

    def __repr__(self) -> str:
        listed = ", ".join(f"{printable(w)} {weight:+.2f}" for w, weight in self.strongest(LISTED))
        return f"<Explanation {self.model}: {self.prediction}; {listed}>"

    def _repr_html_(self) -> str:
        """The text with its words marked, for notebooks."""
        marked = "".join(self._marked(piece, weight) for piece, weight in self.pieces())
        listed = ", ".join(
            f"{escape(printable(word))}&nbsp;{weight:+.2f}".replace("-", "−")
            for word, weight in self.strongest(LISTED)
        )
        return (
            f'<div style="max-width:60em;line-height:1.7"><b>{escape(self.prediction)}</b> '
            f'<span style="opacity:.7">{escape(self.model)}: {escape(self.balance())}</span>'
            f'<p style="white-space:pre-wrap">{marked}</p>'
            f'<span style="opacity:.7">strongest: {listed}</span></div>'
        )

    def _marked(self, piece: str, weight: float | None) -> str:
        shown = escape(printable_lines(piece))
        if not weight or self.strength(weight) < 0.05:
            return shown
        red, green, blue = COLOURS[weight > 0]
        shade = f"rgba({red},{green},{blue},{0.1 + 0.45 * self.strength(weight):.2f})"
        line = "solid" if weight > 0 else "dashed"
        style = f"background:{shade};border-bottom:2px {line} rgb({red},{green},{blue})"
        return f'<span style="{style}" title="{weight:+.3f}">{shown}</span>'


def words_of(text: Text, weights: list[float]) -> tuple[Word, ...]:
    """The words of a text with their weights."""
    return tuple(
        Word(text.text[start:end], weight, start, end)
        for (start, end), weight in zip(text.spans, weights, strict=True)
    )
