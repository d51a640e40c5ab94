"""The texts of single rows: their beginnings at once, the rest on demand, all within a budget."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

from scorer.evaluation.result import Report
from scorer.printable import printable_lines

#: bytes of the page that all texts of rows may take together
BUDGET = 100_000
HEAD_CHARACTERS = 280
#: mistakes shown of each of several models; report.json holds more
SHOWN_OF_SEVERAL = 10
SHOWN_OF_ONE = 20


@dataclass(frozen=True)
class RowTexts:
    """Writes texts of rows, none longer than `limit` bytes."""

    limit: int

    def __call__(self, text: str) -> Markup:
        """The text, its end folded where it is long."""
        size = _size(text)
        whole = text if size <= self.limit else text[: len(text) * self.limit // size]
        if len(whole) <= HEAD_CHARACTERS + 40:
            return _paragraph(whole) + self._cut(text, whole)
        head = whole[:HEAD_CHARACTERS]
        head = head[: max(head.rfind(" "), HEAD_CHARACTERS // 2)]
        return Markup(
            "<details><summary>{} <span>… show all {:,} characters</span></summary>{}{}</details>"
        ).format(
            printable_lines(head),
            len(whole),
            _paragraph(whole[len(head) :].lstrip()),
            self._cut(text, whole),
        )

    @staticmethod
    def _cut(text: str, whole: str) -> Markup:
        if len(whole) == len(text):
            return Markup("")
        return Markup('<p class="quiet">… and {:,} more, which report.json has.</p>').format(
            len(text) - len(whole)
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


def _paragraph(text: str) -> Markup:
    return Markup("<p>{}</p>").format(printable_lines(text))
