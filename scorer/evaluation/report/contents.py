"""The sections of a model's part of the page, in order, and the page's list of contents."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from scorer.evaluation.result import ModelReport, Report


@dataclass(frozen=True)
class Section:
    """`name` is its id and its template's; `shown` tells whether a model has it."""

    name: str
    title: str
    shown: Callable[[ModelReport], bool]

    @property
    def template(self) -> str:
        return f"sections/{self.name}.html"


SECTIONS = (
    Section("card", "Against the card", lambda m: bool(m.promises)),
    Section("figures", "Figures", lambda m: bool(m.figures)),
    Section("ranking", "Ranking", lambda m: bool(m.roc)),
    Section("calibration", "Calibration", lambda m: bool(m.calibration)),
    Section("thresholds", "Thresholds", lambda m: bool(m.thresholds)),
    Section("residuals", "Errors", lambda m: m.residuals is not None),
    Section("slices", "Slices", lambda m: bool(m.slices)),
    Section("mistakes", "Largest mistakes", lambda m: bool(m.evaluated)),
    Section("predictions", "Predictions", lambda m: m.predictions is not None),
    Section("distributions", "Distributions", lambda m: bool(m.distributions and not m.figures)),
    Section("drift", "Drift", lambda m: True),
)


def sections(model: ModelReport) -> list[Section]:
    """The sections that the model has."""
    return [section for section in SECTIONS if section.shown(model)]


def contents(report: Report) -> list[tuple[str, str]]:
    """What the page's list of contents links to: (id, words)."""
    if len(report.models) == 1:
        return [(section.name, section.title) for section in sections(report.models[0])]
    models = [(f"model-{i}", model.model) for i, model in enumerate(report.models, 1)]
    if report.comparison is None:
        return models
    return [
        ("leaderboard", "Leaderboard"),
        ("differences", "Paired differences"),
        ("agreement", "Agreement"),
        ("disagreements", "Where they differ most"),
        *models,
    ]
