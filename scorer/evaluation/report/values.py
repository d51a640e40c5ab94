"""How the page and the terminal write figures."""

from __future__ import annotations

#: (good, warn or bad; a sentence)
Finding = tuple[str, str]


def figure_text(value: float | None, digits: int = 4, *, sign: bool = False) -> str:
    """A figure for people: fixed digits below 100, fewer above, a true minus sign."""
    if value is None:
        return "–"
    places = digits if abs(value) < 100 else 1
    value = round(value, places) + 0.0  # no minus zero
    text = f"{value:+,.{places}f}" if sign else f"{value:,.{places}f}"
    return text.replace("-", "−")
