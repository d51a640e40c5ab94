"""`report.json` and `report.html`: one folder, nothing fetched from anywhere."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from scorer.evaluation.result import ModelReport, Report, Slice
from scorer.figures import figure_spec
from scorer.printable import printable_lines

_HERE = Path(__file__).parent
_LEVELS = {
    "as promised": "good",
    "better than promised": "good",
    "worse than promised": "bad",
    "better": "good",
    "worse": "bad",
    "stable": "good",
    "moderate": "warn",
    "major": "bad",
}


def render_html(report: Report) -> str:
    """The page: self-contained, every text escaped, below 1 MB whatever the data's size."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup

    from scorer.evaluation.drift import PARTS
    from scorer.evaluation.report import charts

    environment = Environment(
        loader=FileSystemLoader(_HERE),
        autoescape=True,
        undefined=StrictUndefined,
        # Of strangers' texts, besides the markup, the characters that hide or turn others.
        finalize=lambda shown: printable_lines(shown) if type(shown) is str else shown,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "figure": lambda value, digits=4: figure_text(value, digits),
        "signed": lambda value: figure_text(value, 4, sign=True),
        "cut": lambda text, limit: text if len(text) <= limit else text[: limit - 1] + "…",
        "level": lambda verdict: _LEVELS.get(verdict, "quiet"),
    }
    return environment.get_template("page.html").render(
        report=report,
        title=_title(report),
        style=Markup((_HERE / "style.css").read_text(encoding="utf-8")),
        says=findings(report),
        charts=charts,
        confusion=charts.confusion,
        span=_span,
        event=_event,
        figure_spec=figure_spec,
        drift_names=PARTS,
    )


def figure_text(value: float | None, digits: int = 4, *, sign: bool = False) -> str:
    """A figure for people: fixed digits below 100, fewer above, a true minus sign."""
    if value is None:
        return "–"
    places = digits if abs(value) < 100 else 1
    value = round(value, places) + 0.0  # no minus zero
    text = f"{value:+,.{places}f}" if sign else f"{value:,.{places}f}"
    return text.replace("-", "−")


def findings(report: Report) -> list[tuple[str, str]]:
    """What to know first: (good, warn or bad; a sentence)."""
    said = [
        (
            "good" if gate.passed else "bad",
            f"{_who(report, gate.model)}required {gate.requirement}: {gate.sentence}",
        )
        for gate in report.gates
    ]
    for model in report.models:
        who = _who(report, model.model)
        said += [(_LEVELS[p.verdict], f"{who}{p.sentence}") for p in model.promises]
        said += [("warn", who + words) for words in _slice_findings(model)]
        said += [(level, who + words) for level, words in _drift_findings(model)]
    said += [("warn", words[0].upper() + words[1:]) for words in report.warnings]
    return list(dict.fromkeys(said))


def _slice_findings(model: ModelReport) -> list[str]:

    worse = [(cut, row) for cut in model.slices for row in cut.rows if row.verdict == "worse"]
    worse.sort(key=lambda item: -abs(item[1].gap.value or 0.0))
    return [
        f"Worse where {cut.column} is {row.value}: {figure_spec(cut.main_figure).title} "
        f"{figure_text(row.figures[cut.main_figure].value, 3)} on {row.rows:,} rows "
        f"({figure_text(row.gap.value, 3, sign=True)} against all other rows)."
        for cut, row in worse[:3]
    ]


def _drift_findings(model: ModelReport) -> list[tuple[str, str]]:
    from scorer.evaluation.drift import PARTS

    if model.drift is None or not model.drift.parts:
        return []
    moved = model.drift.moved
    if not moved:
        return (
            [("good", "No drift: scores, lengths and vocabulary are as in training.")]
            if (model.drift.verdict == "stable")
            else [("warn", "Too few rows to tell whether the texts have changed since training.")]
        )
    parts = ", ".join(f"{PARTS[p.name].lower()} (PSI {p.psi:.2f}, {p.verdict})" for p in moved)
    return [(_LEVELS[model.drift.verdict], f"The texts differ from the training data in {parts}.")]


def _who(report: Report, model: str) -> str:
    return f"{model}: " if len(report.models) > 1 else ""


def _title(report: Report) -> str:
    if len(report.models) > 1:
        return f"{len(report.models)} models side by side"
    return report.models[0].model


def _event(model: ModelReport) -> tuple[str, str]:
    """What a reliability diagram shows, as its two axes name it."""
    return model.task.event_in_words(model.labels)


def _span(cut: Slice) -> tuple[float, float]:
    """The range that a slice's intervals cover."""
    shown: list[Any] = []
    for row in cut.rows:
        item = row.figures[cut.main_figure]
        shown += [v for v in (item.low, item.high, item.value) if v is not None]
    return (min(shown), max(shown)) if shown else (0.0, 0.0)
