"""An explanation on a terminal, in lines of at most 80 columns."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from scorer.printable import printable

if TYPE_CHECKING:
    from scorer.explain import Explanation

WIDTH = 80
LISTED = 10
BAR = 20
#: weights below this share of the strongest one are not coloured
FAINT = 0.05


def render(explanation: Explanation, *, colour: bool) -> str:
    """What was said, the text with its words coloured, the strongest words, and the balance."""
    head = f"{explanation.prediction}  by {explanation.model}"
    parts = [printable(head), *_text(explanation, colour=colour), ""]
    parts += list(_strongest(explanation, colour=colour))
    return "\n".join([*parts, "", *textwrap.wrap(printable(explanation.balance()), WIDTH)])


def _text(explanation: Explanation, *, colour: bool) -> Iterator[str]:
    """The words in lines. Without colours their signs are in the list alone."""
    line, width = "", 0
    for word in explanation.words:
        for piece in textwrap.wrap(printable(word.text), WIDTH) or [""]:
            if width and width + 1 + len(piece) > WIDTH:
                yield line
                line, width = "", 0
            line += (" " if width else "") + _coloured(explanation, piece, word.weight, colour)
            width += (1 if width else 0) + len(piece)
    if width:
        yield line


def _strongest(explanation: Explanation, *, colour: bool) -> Iterator[str]:
    strongest = explanation.strongest(LISTED)
    most = max((abs(weight) for _, weight in strongest), default=1.0)
    for word, weight in strongest:
        bar = "█" * max(1, round(BAR * abs(weight) / most))
        shown = textwrap.shorten(printable(word), WIDTH - BAR - 12, placeholder="…") or word[:40]
        bar = click.style(f"{bar:<{BAR}}", fg=_hue(weight)) if colour else f"{bar:<{BAR}}"
        yield f"{weight:+8.2f}  {bar}  {shown}"


def _coloured(explanation: Explanation, piece: str, weight: float, colour: bool) -> str:
    strength = explanation.strength(weight)
    if not colour or strength < FAINT:
        return piece
    return click.style(piece, fg=_hue(weight), bold=strength > 0.3, underline=strength > 0.6)


def _hue(weight: float) -> str:
    """Blue and red, which people who do not tell red from green tell apart."""
    return "bright_blue" if weight > 0 else "bright_red"
