"""The report in a few lines of at most 80 columns, for a terminal."""

from __future__ import annotations

from collections.abc import Sequence

from scorer.evaluation.part import Figure
from scorer.evaluation.report import figure_text, findings
from scorer.evaluation.result import ModelReport, Report
from scorer.evaluation.sentences import (
    WIDTH,
    baseline_in_words,
    labels_in_words,
    marked,
    predictions_in_words,
    wrapped,
)
from scorer.figures import figure_spec
from scorer.printable import counted, printable


def render_text(report: Report) -> str:
    """What was understood, a table of the headline figures of every model, then the findings."""
    evaluated = [model for model in report.models if model.figures]
    lines = [*wrapped(_counts(report)), *_labels(report)]
    if len(report.models) == 1:
        lines += _single(report.models[0])
    elif evaluated:
        lines += _several(report, evaluated)
    for level, words in findings(report):
        lines += marked(level, printable(words))
    return "\n".join(lines)


def _counts(report: Report) -> str:
    text = counted(report.rows, "row")
    scored = max(model.scored for model in report.models)
    aside = [f"{report.rows - scored:,} unscored"] if scored < report.rows else []
    aside += [f"{report.rejected:,} unreadable"] if report.rejected else []
    text += f" ({', '.join(aside)})" if aside else ""
    if report.text_column is not None:
        text += f", text in {printable(report.text_column)!r}"
    if not any(model.label_source for model in report.models):
        return f"{text}, no labels"
    most = max(model.evaluated for model in report.models)
    return f"{text}, {most:,} evaluated"


def _labels(report: Report) -> list[str]:
    """How the labels were read; of several models that read them differently, by which ones."""
    readers: dict[str, list[str]] = {}
    alone = len(report.models) == 1
    for model in report.models:
        if model.label_source is not None:
            said = labels_in_words(model.label_source, model.left_out)
            for words in said if alone else said[:1]:
                readers.setdefault(words, []).append(model.model)
    named = not alone and len(readers) > 1
    return [
        line
        for words, models in readers.items()
        for line in wrapped(printable(f"{', '.join(models)}: {words}" if named else words))
    ]


def _single(model: ModelReport) -> list[str]:
    lines = [_fit(model.model, WIDTH)]
    if model.predictions is not None:
        said = f"predictions: {predictions_in_words(model.predictions)}"
        lines += wrapped(printable(said), "  ")
    promised = {p.metric: p for p in model.promises}
    for name in model.headlines:
        item = model.figures[name]
        line = f"  {figure_spec(name).title:<18}{_value(item):>9}  {_bounds(item):<20}"
        if name in promised:
            promise = promised[name].promised.value
            verdict = promised[name].verdict.removesuffix(" than promised")
            line += f"  card {figure_text(promise)}: {verdict}"
        lines.append(_fit(line.rstrip(), WIDTH))
        if model.baseline is not None and name == model.baseline.main_figure:
            lines += wrapped(printable(baseline_in_words(model.baseline)), "    ")
    return lines


def _several(report: Report, models: Sequence[ModelReport]) -> list[str]:
    """Figures side by side, the columns that fit; those of shared labels where labels differ."""
    compared = report.comparison
    if compared is not None and compared.labels:
        rows = {name: compared.figures[name] for name in compared.leaderboard}
        names = list(next(iter(rows.values())))
        lines = wrapped(printable(f"{compared.rows:,} rows compared. {compared.note}"))
    else:
        rows = {model.model: model.figures for model in models}
        names = [name for name in models[0].headlines if name in models[0].figures][:4]
        lines = []
    wide = min(max(map(len, rows)), WIDTH - 12 * len(names) - 2)
    head = " " * (wide + 2) + "".join(f"{_fit(figure_spec(name).title, 11):>12}" for name in names)
    lines.append(head.rstrip())
    for model, figures in rows.items():
        values = "".join(f"{_value(figures[name]):>12}" for name in names)
        lines.append(f"  {_fit(model, wide):<{wide}}{values}")
    if compared is not None and compared.baseline is not None:
        base = compared.baseline
        values = "".join(
            f"{_value(base.figures[name]) if name in base.figures else '':>12}" for name in names
        )
        lines.append(f"  {_fit(printable(base.says), wide):<{wide}}{values}".rstrip())
    return lines


def _value(item: Figure) -> str:
    return figure_text(item.value)


def _bounds(item: Figure) -> str:
    if item.low is None or item.high is None:
        return ""
    return f"{figure_text(item.low)} to {figure_text(item.high)}"


def _fit(text: str, width: int) -> str:
    return text if len(text) <= width else text[: width - 1] + "…"
