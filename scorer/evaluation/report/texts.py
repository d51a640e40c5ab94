"""The texts of single rows: their beginnings at once, the rest on demand, all within a budget."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

from scorer.evaluation.result import Report
from scorer.evaluation.why import MarkedWord
from scorer.printable import printable_lines

#: bytes of the page that all texts of rows may take together
BUDGET = 75_000
HEAD_CHARACTERS = 280
#: mistakes shown of each of several models; report.json holds more
SHOWN_OF_SEVERAL = 10
SHOWN_OF_ONE = 20


@dataclass(frozen=True)
class RowTexts:
    """Writes texts of rows, none longer than `limit` bytes."""

    limit: int

    def __call__(self, text: str, words: Sequence[MarkedWord] = ()) -> Markup:
        """The text, its end folded where it is long; `words` of it are marked."""
        size = _size(text)
        end = len(text) if size <= self.limit else len(text) * self.limit // size
        if end <= HEAD_CHARACTERS + 40:
            return _paragraph(text, 0, end, words) + self._cut(text, end)
        head = text.rfind(" ", HEAD_CHARACTERS // 2, HEAD_CHARACTERS)
        if head < 0:
            head = HEAD_CHARACTERS
        return Markup(
            "<details><summary>{} <span>… show all {:,} characters</span></summary>{}{}</details>"
        ).format(
            _marked(text, 0, head, words),
            end,
            _paragraph(text, head, end, words),
            self._cut(text, end),
        )

    @staticmethod
    def _cut(text: str, end: int) -> Markup:
        if end == len(text):
            return Markup("")
        return Markup('<p class="quiet">… and {:,} more, which report.json has.</p>').format(
            len(text) - end
        )


def row_texts(report: Report) -> RowTexts:
    """Writes the texts of this report's rows within `BUDGET`: only the longest are cut."""
    return RowTexts(fair_share([_size(text) for text in _shown(report)], BUDGET))


def shown_mistakes(report: Report) -> int:
    """How many mistakes of each model the page shows."""
    return SHOWN_OF_ONE if len(report.models) == 1 else SHOWN_OF_SEVERAL


def _shown(report: Report) -> list[str]:
    most = shown_mistakes(report)
    texts = [row.text for model in report.models for row in model.mistakes[:most]]
    if report.comparison is not None:
        texts += [row.text for row in report.comparison.disagreements[:most]]
    return texts


def fair_share(sizes: Sequence[int], budget: int) -> int:
    """The most that each may take, so that all together stay within the budget."""
    rising = sorted(sizes)
    for i, size in enumerate(rising):
        share = budget // (len(rising) - i)
        if size > share:
            return share
        budget -= size
    return max(rising, default=0)


def _size(text: str) -> int:
    """Bytes of the page that a text takes."""
    return len(escape(printable_lines(text)).encode("utf-8", "backslashreplace"))


def _paragraph(text: str, start: int, end: int, words: Sequence[MarkedWord]) -> Markup:
    while start < end and text[start].isspace():
        start += 1
    return Markup("<p>{}</p>").format(_marked(text, start, end, words))


def _marked(text: str, start: int, end: int, words: Sequence[MarkedWord]) -> Markup:
    """The characters from `start` to `end` with the words among them that moved the score."""
    parts, at = [], start
    for word in words:
        if word.start is None or word.end is None or word.start < at or word.end > end:
            continue
        way = "up" if word.weight > 0 else "down"
        parts.append(escape(printable_lines(text[at : word.start])))
        parts.append(
            Markup('<mark class="{}" title="{:+.2f}">{}</mark>').format(
                way, word.weight, printable_lines(text[word.start : word.end])
            )
        )
        at = word.end
    return Markup("").join([*parts, escape(printable_lines(text[at:end]))])
