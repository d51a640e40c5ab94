"""A chart's frame: scales, ticks and axes as SVG. Colours come from the page's style sheet.

A drawing is WIDTH units wide whatever the screen. The style sheet writes texts larger, in units,
where a chart is narrow, so room is left for the largest size, LETTER units a character.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from markupsafe import Markup

from scorer.printable import printable

WIDTH, HEIGHT = 400.0, 280.0
RIGHT, TOP, BOTTOM = 14.0, 12.0, 48.0
LETTER = 8.6
#: from the drawing's edge to where tick labels begin: the title of the y axis stands there
Y_TITLE = 24.0


@dataclass(frozen=True)
class Frame:
    """Data ranges of a chart; `px` and `py` turn data into positions in the drawing."""

    x: tuple[float, float]
    y: tuple[float, float]
    width: float = WIDTH
    height: float = HEIGHT

    @cached_property
    def left(self) -> float:
        """Where the y axis stands: right of its title and of its longest tick label."""
        longest = max((len(short(value)) for value in ticks(*self.y)), default=1)
        return Y_TITLE + LETTER * longest + 7

    def px(self, value: float) -> float:
        low, high = self.x
        return self.left + (value - low) / (high - low) * (self.width - self.left - RIGHT)

    def py(self, value: float) -> float:
        low, high = self.y
        return self.height - BOTTOM - (value - low) / (high - low) * (self.height - TOP - BOTTOM)

    def draw(
        self, title: str, x_label: str, y_label: str, *marks: Markup, x_ticks: bool = True
    ) -> Markup:
        """The whole chart: axes first, `marks` over them."""
        body = Markup("").join([*self._axes(x_label, y_label, x_ticks), *marks])
        return Markup(
            '<svg viewBox="0 0 {w:g} {h:g}" role="img" aria-label="{title}">{body}</svg>'
        ).format(w=self.width, h=self.height, title=title, body=body)

    def path(self, x: Sequence[float], y: Sequence[float], style: str, title: str = "") -> Markup:
        """A line through the points; `style` is a class of the page's style sheet."""
        steps = "L".join(f"{self.px(a):.1f} {self.py(b):.1f}" for a, b in zip(x, y, strict=True))
        return Markup('<path class="line {}" d="M{}">{}</path>').format(
            style, steps, tooltip(title)
        )

    def band(self, x: Sequence[float], low: Sequence[float], high: Sequence[float]) -> Markup:
        """The area between two lines."""
        points = [*zip(x, low, strict=True), *reversed([*zip(x, high, strict=True)])]
        steps = "L".join(f"{self.px(a):.1f} {self.py(b):.1f}" for a, b in points)
        return Markup('<path class="band" d="M{}Z"/>').format(steps)

    def bar(self, low: float, high: float, top: float, style: str, title: str = "") -> Markup:
        """A bar from the bottom of the chart up to `top`."""
        base = self.y[0]
        return Markup(
            '<rect class="{}" x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}">{}</rect>'
        ).format(
            style,
            self.px(low),
            self.py(top),
            max(self.px(high) - self.px(low), 0.5),
            max(self.py(base) - self.py(top), 0.0),
            tooltip(title),
        )

    def dot(self, x: float, y: float, radius: float, style: str, title: str = "") -> Markup:
        return Markup('<circle class="{}" cx="{:.1f}" cy="{:.1f}" r="{:.1f}">{}</circle>').format(
            style, self.px(x), self.py(y), radius, tooltip(title)
        )

    def rule(self, x: tuple[float, float], y: tuple[float, float], style: str) -> Markup:
        """A straight line from (x0, y0) to (x1, y1)."""
        return Markup('<path class="{}" d="M{:.1f} {:.1f}L{:.1f} {:.1f}"/>').format(
            style, self.px(x[0]), self.py(y[0]), self.px(x[1]), self.py(y[1])
        )

    def text(self, x: float, y: float, words: str, anchor: str = "middle") -> Markup:
        """Words at a position of the drawing (not of the data)."""
        return Markup('<text x="{:.1f}" y="{:.1f}" text-anchor="{}">{}</text>').format(
            x, y, anchor, printable(words)
        )

    def _axes(self, x_label: str, y_label: str, x_ticks: bool) -> list[Markup]:
        floor = self.height - BOTTOM
        marks = []
        for value in ticks(*self.y):
            marks.append(self.rule(self.x, (value, value), "grid"))
            marks.append(self.text(self.left - 7, self.py(value) + 4, short(value), "end"))
        for value in ticks(*self.x) if x_ticks else []:
            marks.append(self.text(self.px(value), floor + 18, short(value)))
        marks.append(self.text((self.left + self.width - RIGHT) / 2, self.height - 8, x_label))
        marks.append(
            Markup(
                '<text transform="translate(14 {:.1f}) rotate(-90)" text-anchor="middle">{}</text>'
            ).format((TOP + floor) / 2, printable(y_label))
        )
        marks.append(self.rule(self.x, (self.y[0], self.y[0]), "axis"))
        return marks


def tooltip(words: str) -> Markup:
    return Markup("<title>{}</title>").format(printable(words)) if words else Markup("")


def ticks(low: float, high: float, about: int = 5) -> list[float]:
    """Round numbers from low to high."""
    step = 10 ** math.floor(math.log10((high - low) / about))
    step *= min((1, 2, 5, 10), key=lambda m: abs((high - low) / (step * m) - about))
    first = math.ceil(low / step - 1e-9)
    return [i * step for i in range(first, math.floor(high / step + 1e-9) + 1)]


def short(value: float) -> str:
    """A tick's number: 0.25, 40, 12k, 3M."""
    size = abs(value)
    for limit, sign in ((1e9, "G"), (1e6, "M"), (1e4, "k")):
        if size >= limit:
            scale = 1e3 if sign == "k" else limit
            return f"{value / scale:g}{sign}"
    return f"{value:.10g}" if size >= 1e-9 or value == 0 else "0"


def swatches(names: Sequence[str]) -> Markup:
    """A legend, in the order of the series' colours."""
    items = Markup("").join(
        Markup('<li><i class="swatch s{}"></i>{}</li>').format(i % 10, printable(name))
        for i, name in enumerate(names)
    )
    return Markup('<ul class="legend">{}</ul>').format(items)
