"""What a notebook shows of a model or a report: plain HTML, in the notebook's own colours."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

from scorer.printable import printable, printable_lines

_LEFT = "text-align:left;white-space:pre-wrap;max-width:50em"


def facts(title: str, rows: Iterable[tuple[str, str]]) -> str:
    """A title, and for each name a text, which may have several lines."""
    lines = "".join(
        f'<tr><th style="text-align:left">{_safe(name)}</th>'
        f'<td style="{_LEFT}">{escape(printable_lines(text))}</td></tr>'
        for name, text in rows
    )
    return f"<div><b>{_safe(title)}</b><table>{lines}</table></div>"


def grid(title: str, head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A title, and a table whose first column names the rows."""
    heads = "".join(f"<th>{_safe(name)}</th>" for name in head)
    lines = "".join(
        f'<tr><th style="text-align:left">{_safe(first)}</th>'
        + "".join(f"<td>{_safe(cell)}</td>" for cell in cells)
        + "</tr>"
        for first, *cells in rows
    )
    return f"<div><b>{_safe(title)}</b><table><tr>{heads}</tr>{lines}</table></div>"


def _safe(text: str) -> str:
    return escape(printable(text))
