"""The report in a few lines of at most 80 columns, for a terminal."""

from __future__ import annotations

from collections.abc import Sequence

from scorer.evaluation.part import Figure
from scorer.evaluation.report import figure_text, findings
from scorer.evaluation.result import ModelReport, Report
from scorer.figures import figure_spec
from scorer.printable import printable

WIDTH = 80
_SIGNS = {"good": "ok", "warn": "!", "bad": "!!"}


def render_text(report: Report) -> str:
    """A table of the headline figures of every model, then the findings."""
    evaluated = [model for model in report.models if model.figures]
    lines = [_counts(report)]
    if len(evaluated) == 1:
        lines += _single(evaluated[0])
    elif evaluated:
        lines += _several(evaluated)
    for level, words in findings(report):
        lines += _wrapped(f"{_SIGNS[level]:>2} ", printable(words))
    return "\n".join(lines)


def _counts(report: Report) -> str:
    text = f"{report.rows:,} rows"
    if report.labels is None:
        return f"{text}, no labels"
    most = max(model.evaluated for model in report.models)
    name = printable(report.labels.column)
    return _fit(f"{text}, {most:,} evaluated against {name!r}", WIDTH)


def _single(model: ModelReport) -> list[str]:
    lines = [_fit(model.model, WIDTH)]
    promised = {p.metric: p for p in model.promises}
    for name in model.headlines:
        item = model.figures[name]
        line = f"  {figure_spec(name).title:<18}{_value(item):>9}  {_bounds(item):<20}"
        if name in promised:
            promise = promised[name].promised.value
            verdict = promised[name].verdict.removesuffix(" than promised")
            line += f"  card {figure_text(promise)}: {verdict}"
        lines.append(_fit(line.rstrip(), WIDTH))
    return lines


def _several(models: Sequence[ModelReport]) -> list[str]:
    """Figures side by side, the columns that fit."""
    names = [name for name in models[0].headlines if name in models[0].figures][:4]
    wide = min(max(len(model.model) for model in models), WIDTH - 12 * len(names) - 2)
    head = " " * (wide + 2) + "".join(f"{_fit(figure_spec(name).title, 11):>12}" for name in names)
    lines = [head.rstrip()]
    for model in models:
        values = "".join(f"{_value(model.figures[name]):>12}" for name in names)
        lines.append(f"  {_fit(model.model, wide):<{wide}}{values}")
    return lines


def _value(item: Figure) -> str:
    return figure_text(item.value)


def _bounds(item: Figure) -> str:
    if item.low is None or item.high is None:
        return ""
    return f"{figure_text(item.low)} to {figure_text(item.high)}"


def _wrapped(sign: str, words: str) -> list[str]:
    import textwrap

    return textwrap.wrap(words, WIDTH, initial_indent=sign, subsequent_indent=" " * len(sign))


def _fit(text: str, width: int) -> str:
    return text if len(text) <= width else text[: width - 1] + "…"
