"""`report.json` and `report.html`: one folder, nothing fetched from anywhere."""

from __future__ import annotations

import shlex
from pathlib import Path

from scorer.evaluation.report.values import figure_text
from scorer.evaluation.report.words import LEVELS, findings, general_findings, in_short, understood
from scorer.evaluation.result import ModelReport, Report
from scorer.figures import figure_spec
from scorer.printable import printable_lines

__all__ = ["figure_text", "findings", "render_html"]

_HERE = Path(__file__).parent


def render_html(report: Report) -> str:
    """The page: self-contained, every text escaped, below 1 MB whatever the data's size."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup

    from scorer.evaluation.drift.histograms import PARTS
    from scorer.evaluation.report import charts, contents, leaderboard, texts

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
        "level": lambda verdict: LEVELS.get(verdict, "quiet"),
        "quote": shlex.quote,
        "title_of": lambda name: figure_spec(name).title,
    }
    return environment.get_template("page.html").render(
        report=report,
        title=_title(report),
        style=Markup((_HERE / "style.css").read_text(encoding="utf-8")),
        says=findings(report) if len(report.models) == 1 else general_findings(report),
        understood=understood(report),
        in_short=in_short(report),
        contents=contents.contents(report),
        sections=contents.sections,
        leaderboard=leaderboard,
        row_text=texts.row_texts(report),
        most=texts.shown_mistakes(report),
        charts=charts,
        event=_event,
        figure_spec=figure_spec,
        drift_names=PARTS,
    )


def _title(report: Report) -> str:
    if len(report.models) > 1:
        return f"{len(report.models)} models side by side"
    return report.models[0].model


def _event(model: ModelReport) -> tuple[str, str]:
    """What a reliability diagram shows, as its two axes name it."""
    return model.task.event_in_words(model.labels)
